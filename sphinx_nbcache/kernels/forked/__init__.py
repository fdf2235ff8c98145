"""Kernels that are forked from a process with all modules that they need.

Such a process is a zygote: an interpreter of the kernelspec that has imported ipykernel and,
perhaps, packages that notebooks import. Forking it takes some hundredths of a second.

The fallback is to start kernels as Jupyter does, with the same results.
"""
