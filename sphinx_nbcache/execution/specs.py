"""Where kernelspecs are looked for: as Jupyter does it, but nothing is made on the way."""

from __future__ import annotations

import os
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_path
from traitlets import default


class KernelSpecs(KernelSpecManager):
    """The kernelspecs that are installed.

    IPython's folder may hold some, and asking IPython for its name makes it.
    """

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        if not any(folder.exists() for folder in _ipython_folders()):
            return list(jupyter_path("kernels"))
        return list(super()._kernel_dirs_default())


def _ipython_folders() -> list[Path]:
    """Return where IPython's folder may be: where it is said to be, or in one of two places."""
    if named := os.environ.get("IPYTHONDIR"):
        return [Path(named).expanduser()]
    home = Path("~").expanduser()
    return [
        home / ".ipython",
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "ipython"),
    ]
