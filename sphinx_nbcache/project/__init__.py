"""The project: the façade behind every front end."""

from sphinx_nbcache.project.discovery import open_project
from sphinx_nbcache.project.project import Project
from sphinx_nbcache.project.reproducing import CellDifference, Comparison
from sphinx_nbcache.project.requests import (
    ProjectError,
    StoreTroubleError,
    UnknownReferenceError,
    ValidityError,
)
from sphinx_nbcache.project.run import (
    FormerRun,
    NotebookFailedError,
    Progress,
    Run,
    Settled,
    notices_of,
)

__all__ = [
    "CellDifference",
    "Comparison",
    "FormerRun",
    "NotebookFailedError",
    "Progress",
    "Project",
    "ProjectError",
    "Run",
    "Settled",
    "StoreTroubleError",
    "UnknownReferenceError",
    "ValidityError",
    "notices_of",
    "open_project",
]
