"""Kernels that are forked from a process that has loaded what they need.

Such a process is a zygote: an interpreter of the kernelspec's that has imported ipykernel and,
perhaps, packages that notebooks want. A fork of it is a kernel after some hundredths of a second.

Where that does not fit, kernels are started as Jupyter does it, with the same results.
"""
