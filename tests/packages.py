"""Packages of third parties, as an installer leaves them: modules and a `.dist-info` folder."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

EntryPoints = Mapping[str, Mapping[str, str]]


def install(site: Path, name: str, code: str, entry_points: EntryPoints) -> Path:
    """Install a package that is one module, into a folder for `sys.path`.

    Args:
        site: The folder.
        name: The name of the package and of its module.
        code: The module.
        entry_points: By group, and name within it, the object in the module.

    Returns:
        The folder.
    """
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (site / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    (information / "METADATA").write_text(metadata, encoding="utf-8")
    lines = []
    for group, entries in entry_points.items():
        lines.append(f"[{group}]")
        lines += [f"{entry} = {name}:{target}" for entry, target in entries.items()]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return site
