"""Kernels: which one a notebook needs, how it is started, and how it ends."""
