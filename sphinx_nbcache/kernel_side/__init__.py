"""Code that runs in a kernel's process. It imports nothing else of this package."""
