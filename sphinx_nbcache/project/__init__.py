"""The project: the façade behind every front end."""

from sphinx_nbcache.project.project import Project
from sphinx_nbcache.project.run import NotebookFailedError, Progress, Run, Settled, notices_of

__all__ = ["NotebookFailedError", "Progress", "Project", "Run", "Settled", "notices_of"]
