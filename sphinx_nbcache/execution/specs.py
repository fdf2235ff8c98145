"""The search for kernelspecs: as in Jupyter, but without creating folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.paths import jupyter_path
from traitlets import default


class KernelSpecs(KernelSpecManager):
    """The installed kernelspecs.

    IPython's folder may contain some, and asking IPython for its path creates it. Each kernelspec
    is looked for only once: an object of this class is for one run.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._found: dict[str, KernelSpec] = {}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a kernelspec.

        Raises:
            NoSuchKernel: No kernelspec has this name.
        """
        if kernel_name not in self._found:
            self._found[kernel_name] = super().get_kernel_spec(kernel_name)
        return self._found[kernel_name]

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        home = Path("~").expanduser()
        named = os.environ.get("IPYTHONDIR")
        folder = Path(named).expanduser() if named else home / ".ipython"
        if folder.exists():
            # The same as in IPython, whose import takes long.
            return [*jupyter_path("kernels"), str(folder / "kernels")]
        old = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "ipython")
        if old.exists() and not named:
            # IPython may move the old folder to the current place.
            return list(super()._kernel_dirs_default())
        return list(jupyter_path("kernels"))
