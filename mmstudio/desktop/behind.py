"""Questions of a page that are answered behind the window, of which only the newest counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mmstudio.desktop.session import Session
from mmstudio.errors import StudioError

T = TypeVar("T")


class Behind:
    """Asks in the pool; an answer to an outdated question is dropped, and so is one of another project or model."""

    def __init__(self, session: Session, on_failed: Callable[[StudioError], None] | None = None) -> None:
        self._session, self._on_failed = session, on_failed or session.failed.emit
        self._generation = 0

    def ask(self, question: Callable[[], T], then: Callable[[T], None], by_model: bool = False) -> None:
        """``by_model`` where the encoder is needed, which belongs to the models' lane."""
        generation = self.forget()
        session = self._session
        project, encoder = session.project, session.encoder

        def holds() -> bool:
            return generation == self._generation and project is session.project and encoder is session.encoder

        def done(found: T) -> None:
            if holds():
                then(found)

        def failed(error: StudioError) -> None:
            if holds():
                self._on_failed(error)

        if by_model:
            session.models.ask(question, on_done=done, on_failed=failed)
        else:
            session.pool.ask(question, done, failed)

    def holds(self, generation: int) -> bool:
        """Whether nothing was asked, and nothing forgotten, since ``forget`` gave this number."""
        return generation == self._generation

    def forget(self) -> int:
        """Whatever is asked is not wanted any more."""
        self._generation += 1
        return self._generation
