"""The code key: a digest of what a notebook's code can observe of the notebook itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from sphinx_nbcache.notebooks.scan import Scan

# The kernel for Python notebooks that name none.
DEFAULT_KERNEL = "python3"


class KeyCell(msgspec.Struct, frozen=True, array_like=True):
    """The part of the key for one code cell."""

    digest: str
    skipped: bool


class KeyParts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of a code key, by name. Every field counts; order and names are fixed.

    Text cells, outputs, cell ids, counts and display tags are not included. Neither are time
    limits, allowed errors and the tag `raises-exception`: they are acceptance rules, which are
    checked against a result's status.

    A field with its default value is not hashed, so the ordinary place leaves no mark.
    """

    kernel: str
    """Kernel name, after aliases; empty if the notebook names none."""
    language: str
    directory: str
    """The working directory of the kernel: POSIX, relative to the root if it is inside it. For a
    temporary folder, the notebook's own folder.
    """
    cells: tuple[KeyCell, ...]
    temporary: bool = False
    """Whether the kernel works in a temporary folder instead of the notebook's own."""
    assets: tuple[str, ...] = ()
    """The files copied to a temporary folder: paths relative to the notebook's folder."""
    arguments: tuple[str, ...] = ()
    """Additional command-line arguments of the kernel, besides those of its kernelspec."""
    options: Mapping[str, str] = {}
    """The options whose values are part of the key, as JSON; without those that have defaults."""
    expressions: tuple[tuple[str, ...], ...] = ()
    """The expressions in the text before the first cell and after each one, whose values are part
    of the result; empty if there are none at all.
    """

    def digest(self) -> str:
        """Return the code key, in hexadecimal."""
        # msgspec writes fields in the order of their declaration, so the order is a part of the
        # format of keys (https://jcristharif.com/msgspec/structs.html).
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def key_parts(  # noqa: PLR0913 (what a key is made of)
    scan: Scan,
    directory: str,
    aliases: Mapping[str, str],
    *,
    temporary: bool = False,
    assets: Iterable[str] = (),
    arguments: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> KeyParts:
    """Return the parts of the code key of a scanned notebook.

    Args:
        scan: The scan of the notebook.
        directory: The folder where its kernel works, as a portable path.
        aliases: The option `nbcache_kernel_aliases`.
        temporary: Whether it is run in a temporary folder.
        assets: The files copied to the temporary folder, besides the assets that the notebook names
            itself. In its own folder a notebook sees all files, and assets have no effect.
        arguments: The option `nbcache_kernel_arguments`.
        options: The values of options that are part of the key (see [](key_values)).
    """
    kernel = resolve_alias(scan.kernel, aliases)
    # A notebook that names neither is run by the default kernel, as in nbclient and MyST-NB.
    is_python = scan.language in ("", "python")
    started = kernel or (DEFAULT_KERNEL if is_python else "")
    expressions = (scan.leading, *(cell.expressions for cell in scan.cells))
    return KeyParts(
        kernel=kernel,
        language=scan.language,
        directory=directory,
        cells=tuple(KeyCell(cell.digest, cell.skipped) for cell in scan.cells),
        temporary=temporary,
        # Sorted: the order in which assets are listed has no effect on a run.
        assets=tuple(sorted({*scan.assets, *assets})) if temporary else (),
        arguments=tuple(
            argument
            for pattern, listed in arguments.items()
            if re.fullmatch(pattern, started)
            for argument in listed
        ),
        options={
            name: msgspec.json.encode(options[name], order="deterministic").decode()
            for name in sorted(options)
        },
        expressions=expressions if any(expressions) else (),
    )


def resolve_alias(kernel: str, aliases: Mapping[str, str]) -> str:
    """Return the kernel name from the first matching alias, or the name itself."""
    for pattern, name in aliases.items():
        # The first match, so that a general pattern may follow its exceptions.
        if re.fullmatch(pattern, kernel):
            return name
    return kernel


def is_temporary(name: str) -> bool:
    """Tell whether an executor of this name runs notebooks in temporary folders.

    The name alone decides, for other packages' executors too: the place is part of the code key,
    and a plan must not have to import an executor.
    """
    return name.startswith("temp-")
