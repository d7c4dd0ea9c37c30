"""Questions of a page to the models' lane, of which only the newest is worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmstudio.desktop.session import Session
from mmstudio.desktop.worker import Ticket
from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

T = TypeVar("T")


class Newest:
    """Long work goes on until it ends, is cancelled, or something else is asked. ``on_ended`` is told either way."""

    def __init__(self, session: Session, on_failed: Callable[[StudioError], None],
                 on_ended: Callable[[], None] = lambda: None) -> None:
        self._session, self._on_failed, self._on_ended = session, on_failed, on_ended
        self._ticket: Ticket | None = None

    @property
    def busy(self) -> bool:
        return self._ticket is not None and not self._ticket.ended

    def run(self, factory: Callable[[], Work[T]], done: Callable[[T], None],
            step: Callable[[Progress], None] | None = None, urgent: bool = False) -> None:
        """Do this instead of what was asked before. What is ``urgent`` goes before all jobs, so it must be short."""
        self.cancel()
        encoder, project = self._session.encoder, self._session.project

        def holds(then: Callable[[Any], None]) -> Callable[[Any], None]:
            def told(found: Any) -> None:
                if encoder is self._session.encoder and project is self._session.project:
                    then(found)
            return told

        def ended(then: Callable[[Any], None]) -> Callable[[Any], None]:
            def told(found: Any) -> None:
                self._ticket = None
                holds(then)(found)
                self._on_ended()
            return told

        self._ticket = self._session.models.run(factory, on_step=holds(step) if step else None, on_done=ended(done),
                                                on_failed=ended(self._on_failed), urgent=urgent)

    def cancel(self) -> None:
        """Whatever is being done is not wanted any more."""
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None
            self._on_ended()


def at_once(question: Callable[[], T]) -> Callable[[], Work[T]]:
    """A question as work of one step."""
    def work() -> Work[T]:
        return question()
        yield
    return work
