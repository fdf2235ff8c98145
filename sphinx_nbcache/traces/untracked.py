"""Actions of a run that cannot be verified, described in words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from sphinx_nbcache.traces.report import Report, Seen

# Libraries query the machine with these; their answers are not input.
_HARMLESS = frozenset(
    {"ldconfig", "gcc", "cc", "ld", "objdump", "uname", "lsb_release", "lscpu", "fc-list"}
    | {"nvidia-smi", "stty", "tput", "dumb_init", "resource_tracker"}
)
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "cmd.exe"})
# Libraries that open files in C. Only files that the code names are observed there.
_READ_IN_C = ("h5py", "netCDF4", "polars", "duckdb", "osgeo", "rasterio", "fiona", "cv2", "pyarrow")
_LONGEST = 80


def untracked(report: Report, seen: Seen) -> Iterator[str]:
    """Yield what cannot be verified: untraced subprocesses, network access, reads in C."""
    commands = [_command(words) for words in seen.processes if words]
    python = [command for command in commands if _is_python(command)]
    # Python processes trace themselves, unless they are started in a way that prevents it.
    if len(python) <= seen.children:
        commands = [command for command in commands if command not in python]
    for command in dict.fromkeys(commands):
        if _program(command) not in _HARMLESS:
            yield f"sub-process: {_shortened(' '.join(command))}"
    for host in sorted(seen.hosts):
        yield f"network: {host}"
    if not seen.named and not any(look.how == "probe" for look in seen.reads.values()):
        for name in _READ_IN_C:
            if name in report.wanted:
                yield f"files that {name} reads"


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command, without the shell around it."""
    if _program(words) in _SHELLS and len(words) > 2 and words[1] == "-c":  # noqa: PLR2004
        return tuple(words[2].split()) or words
    return words if len(words) > 1 else tuple(words[0].split())


def _program(command: tuple[str, ...]) -> str:
    return os.path.basename(command[0]) if command else ""


def _is_python(command: tuple[str, ...]) -> bool:
    return re.fullmatch(r"(python|pypy)[\d.]*(\.exe)?", _program(command)) is not None


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
