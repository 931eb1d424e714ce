"""Projects, where something is given to one by name."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.db.models import Project
from nova_lite.errors import Invalid


def check_project(session: Session, project_id: str) -> None:
    """Do nothing if there is such a project. :raises Invalid: there is none."""
    if session.get(Project, project_id) is None:
        raise Invalid(f"Project ID {project_id} is not a valid project.", "project.not_valid")
