"""The environment variables that kernels are started with."""

from __future__ import annotations

from collections.abc import Mapping

from sphinx_nbcache.store.marks import SECRET_VARIABLE


def with_changes(
    environment: Mapping[str, str], changes: Mapping[str, str | None]
) -> dict[str, str]:
    """Return environment variables with changes, without the secret that marks results.

    Args:
        environment: The current variables.
        changes: Values by name; `None` removes a variable.
    """
    merged = {**environment, **changes}
    return {
        name: value
        for name, value in merged.items()
        if value is not None and name != SECRET_VARIABLE
    }
