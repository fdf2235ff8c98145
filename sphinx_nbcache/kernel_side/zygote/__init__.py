"""The code of a zygote, which runs in a kernelspec's interpreter without our package.

It therefore needs only the standard library and ipykernel, from Python 3.9 on. Run the folder's
`__main__.py`; `loop` describes the protocol.
"""
