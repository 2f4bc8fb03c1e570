"""What other modules may use."""

from . import tables
from .lists import PROJECTS
from .rules import FINISHED, ProjectStatus
from .types import Project

__all__ = ["FINISHED", "PROJECTS", "Project", "ProjectStatus", "tables"]
