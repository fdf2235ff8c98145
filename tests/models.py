"""What random tests of whole projects share."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from sphinx_nbcache.kernels.interpreters import KernelFacts, kernel_facts


def facts_with(*sites: str) -> Any:
    """Return a replacement of `kernel_facts` for which packages are in these folders as well."""
    found = kernel_facts("python3", "python", os.environ)
    assert found is not None
    assert found.python is not None
    python = msgspec.structs.replace(found.python, sites=(*found.python.sites, *sites))
    kernel = msgspec.structs.replace(found, python=python)

    def facts(_name: str, _language: str, _environment: object) -> KernelFacts:
        return kernel

    return facts
