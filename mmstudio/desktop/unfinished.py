"""What a project was adding when it was killed or its disk was full, so that it goes on. For the models' lane alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.progress import Work
from mmstudio.project import Project

T = TypeVar("T")
_KEPT = "adding"


@dataclass(frozen=True)
class Left:
    """Files and folders of one adding, and which of the folders' files were meant."""

    paths: tuple[Path, ...]
    choice: Choice = EVERYTHING

    def told(self) -> dict[str, Any]:
        return {"paths": [str(path) for path in self.paths], "choice": self.choice.told()}

    @classmethod
    def of(cls, told: Any) -> Left:
        """What was ``told``, also by a studio that knew of paths alone."""
        told = told if isinstance(told, dict) else {"paths": told}
        return cls(tuple(map(Path, told["paths"])), Choice.of(told.get("choice", {})))


def noted(project: Project, left: Left, work: Work[T]) -> Work[T]:
    """The work, with its sources written down until it has come to its end."""
    if not left.paths:
        return (yield from work)
    if left not in unfinished(project):
        _keep(project, [*unfinished(project), left])
    done = yield from work
    forget(project, left)
    return done


def forget(project: Project, left: Left) -> None:
    """The person wants no more of it."""
    _keep(project, [one for one in unfinished(project) if one != left])


def unfinished(project: Project) -> list[Left]:
    """All that was not added to its end."""
    kept = project.own.get(_KEPT, [])
    return [Left.of(told) for told in kept] if isinstance(kept, list) else []


def forget_all(project: Project) -> None:
    _keep(project, [])


def _keep(project: Project, left: Sequence[Left]) -> None:
    project.own.set(_KEPT, [one.told() for one in left])
