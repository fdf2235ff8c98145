"""Which kernel runs a notebook, and how it is started."""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

DEFAULT_KERNEL = "python3"


class KernelError(Exception):
    """A kernel that is not there or cannot be started. The message says what to do."""


def choose_kernel(name: str, language: str, specs: KernelSpecManager) -> str:
    """Return the name of the kernel for a notebook that asks for a name or a language.

    Raises:
        KernelError: No such kernel is installed.
    """
    if not name and language in ("", "python"):
        name = DEFAULT_KERNEL
    if not name:
        return _for_language(language, specs)
    try:
        specs.get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(sorted(specs.find_kernel_specs())) or "none"
        raise KernelError(
            f"there is no kernel named {name!r} (installed: {known}); install it, or map the"
            " name to another one with nbcache_kernel_aliases"
        ) from None
    return name


def _for_language(language: str, specs: KernelSpecManager) -> str:
    found: dict[str, Any] = specs.get_all_specs()
    for name in sorted(found):
        if str(found[name]["spec"].get("language", "")).lower() == language:
            return name
    raise KernelError(f"there is no kernel for the language {language!r}; install one")


def start_arguments(name: str, specs: KernelSpecManager) -> list[str]:
    """Return further command-line arguments for a kernel: an ipykernel writes no history."""
    is_ipykernel = any("ipykernel" in word for word in specs.get_kernel_spec(name).argv)
    return ["--HistoryManager.hist_file=:memory:"] if is_ipykernel else []
