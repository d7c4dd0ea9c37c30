"""What a project was adding when it was killed or its disk was full, so that it goes on. For the models' lane alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mmstudio.progress import Work
from mmstudio.project import Project

T = TypeVar("T")
_KEPT = "adding"


def noted(project: Project, sources: Sequence[Path], work: Work[T]) -> Work[T]:
    """The work, with its sources written down until it has come to its end."""
    if not sources:
        return (yield from work)
    paths = [str(path) for path in sources]
    if paths not in _kept(project):
        project.own.set(_KEPT, [*_kept(project), paths])
    done = yield from work
    forget(project, sources)
    return done


def forget(project: Project, sources: Sequence[Path]) -> None:
    """The person wants no more of it."""
    paths = [str(path) for path in sources]
    project.own.set(_KEPT, [one for one in _kept(project) if one != paths])


def unfinished(project: Project) -> list[Path]:
    """All sources that were not added to their end."""
    return [Path(path) for paths in _kept(project) for path in paths]


def forget_all(project: Project) -> None:
    project.own.set(_KEPT, [])


def _kept(project: Project) -> list[list[str]]:
    kept = project.own.get(_KEPT, [])
    return kept if isinstance(kept, list) else []
