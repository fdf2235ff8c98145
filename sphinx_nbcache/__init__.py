"""Sphinx builds that run only the notebooks whose code, or what it depended on, has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from sphinx_nbcache.config import Settings
    from sphinx_nbcache.planning import Action, Decision, Plan, Reason
    from sphinx_nbcache.project import Project, ProjectError, open_project

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Decision",
    "Plan",
    "Project",
    "ProjectError",
    "Reason",
    "Settings",
    "__version__",
    "open_project",
    "setup",
]

# Where each public name lives. Names are imported at first use: a Sphinx build in which nothing
# changed must not pay for imports that it does not need.
_HOMES = {
    "Action": "sphinx_nbcache.planning",
    "Decision": "sphinx_nbcache.planning",
    "Plan": "sphinx_nbcache.planning",
    "Project": "sphinx_nbcache.project",
    "ProjectError": "sphinx_nbcache.project",
    "Reason": "sphinx_nbcache.planning",
    "Settings": "sphinx_nbcache.config",
    "open_project": "sphinx_nbcache.project",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to a Sphinx application (called by Sphinx itself)."""
    from sphinx_nbcache.extension import connect

    connect(app)
    return {
        "version": __version__,
        "env_version": 4,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
