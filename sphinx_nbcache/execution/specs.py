"""Where kernelspecs are looked for: as Jupyter does it, but nothing is made on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.paths import jupyter_path
from traitlets import default


class KernelSpecs(KernelSpecManager):
    """The kernelspecs that are installed.

    IPython's folder may hold some, and asking IPython for its name makes it. One that was found is
    not looked for again: an object of this class is for one run.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._found: dict[str, KernelSpec] = {}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a kernelspec.

        Raises:
            NoSuchKernel: There is none of this name.
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
            # As IPython says, but its import takes long.
            return [*jupyter_path("kernels"), str(folder / "kernels")]
        old = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "ipython")
        if old.exists() and not named:
            # It may be moved to where it is now.
            return list(super()._kernel_dirs_default())
        return list(jupyter_path("kernels"))
