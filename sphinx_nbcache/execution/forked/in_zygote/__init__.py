"""What a zygote runs: in the interpreter of a kernelspec, where nothing of ours is installed.

So it needs the standard library and ipykernel alone, from Python 3.9 on. Run the folder's
`__main__.py`; `loop` tells the protocol.
"""
