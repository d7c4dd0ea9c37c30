"""The question that the window asks: its parts, where it looks, by which measure. It is answered behind the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from mmstudio.desktop.text import count, tr
from mmstudio.errors import StudioError
from mmstudio.explore.fusion import centred
from mmstudio.explore.question import combined
from mmstudio.explore.similarity import MEASURES, Measure
from mmstudio.media import MODALITIES, MediaRef, Modality
from mmstudio.project import fused
from mmstudio.searching import STALE, Found, Question, Results, Scores, find, index_wanted, known_index, make_index

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session
    from mmstudio.encoders.base import Encoder
    from mmstudio.explore.index import Index
    from mmstudio.library import VectorView
    from mmstudio.project import Project

HITS = 24
KEPT = "searches"
"""The project's own setting: of each space, how it is searched."""
Asked: TypeAlias = str | Path | MediaRef | int
"""A text, a file, a medium, or the key of an item or sample of the project."""
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """One part of a question; a negative ``weight`` goes away from it."""

    asked: Asked
    title: str
    weight: float = 1.0


@dataclass(frozen=True)
class Scope:
    """Where to look: these items ``(n,)`` int64, or all of them."""

    title: str = ""
    ids: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Answer:
    """What one question found; ``title`` repeats it and ``query (dim,)`` is its vector. ``scores`` are those of all
    items, found or not.
    """

    title: str
    query: Vector
    measure: Measure
    results: Results
    scores: Scores | None = None

    @property
    def hits(self) -> dict[Modality, list[Found]]:
        return self.results.hits


@dataclass(frozen=True)
class _Wish:
    """A question as it was put."""

    parts: tuple[Part, ...] = ()
    scope: Scope = field(default_factory=Scope)
    modality: Modality | None = None
    measure: Measure = "cosine"
    exact: bool = False
    closes_gap: bool = False


class Asking(QObject):
    """Puts questions together and has them answered; only the newest is."""

    changed = Signal()
    """The question is another, or looks elsewhere."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._wish = _Wish()
        self._vectors: dict[Asked, Vector] = {}
        self._index: Index | None = None
        self._closed: list[VectorView] = []
        self._generation = self._indexed = 0
        session.vectorsChanged.connect(self._look_for_index)
        session.jobs.ended.connect(lambda _: self._look_for_index())

    @property
    def parts(self) -> tuple[Part, ...]:
        return self._wish.parts

    @property
    def scope(self) -> Scope:
        return self._wish.scope

    @property
    def modality(self) -> Modality | None:
        return self._wish.modality

    @property
    def measure(self) -> Measure:
        return self._wish.measure

    @property
    def exact(self) -> bool:
        return self._wish.exact

    @property
    def closes_gap(self) -> bool:
        return self._wish.closes_gap

    # ---- putting a question together --------------------------------------------------------------------------

    def ask(self, asked: Asked, title: str) -> None:
        """Ask with one thing instead of all that was asked before."""
        self._want(parts=(Part(asked, title),))

    def add(self, asked: Asked, title: str, weight: float = 1.0) -> None:
        """Add a part to the question; one that is there gets the new weight."""
        self._want(parts=(*(part for part in self.parts if part.asked != asked), Part(asked, title, weight)))

    def ask_words(self, words: str) -> None:
        """Ask with words; those that begin with a plus or a minus are added to the question that is there."""
        sign, rest = words[:1], words[1:].strip()
        if self.parts and rest and sign in "+-−":
            self.add(rest, rest, 1.0 if sign == "+" else -1.0)
        else:
            self.ask(words, words)

    def ask_like(self, key: int) -> None:
        """Ask with an item or a sample of the project."""
        if title := self._title(key):
            self.ask(key, title)

    def add_like(self, key: int, weight: float = 1.0) -> None:
        """Add an item or a sample of the project to the question."""
        if title := self._title(key):
            self.add(key, title, weight)

    def _title(self, key: int) -> str:
        session = self._session
        if key > 0:
            return session.items[key].title if key in session.items else ""
        return session.samples[-key].name if -key in session.samples else ""

    def set_weight(self, number: int, weight: float) -> None:
        """Give a part another weight."""
        self._want(parts=tuple(replace(part, weight=weight) if at == number else part
                               for at, part in enumerate(self.parts)))

    def drop(self, number: int) -> None:
        """Take a part out of the question."""
        self._want(parts=tuple(part for at, part in enumerate(self.parts) if at != number))

    def look_in(self, scope: Scope) -> None:
        """Look only there."""
        self._want(scope=scope)

    def look_for(self, modality: Modality | None) -> None:
        """Look only for this modality, or for all."""
        self._want(modality=modality)

    def measure_by(self, measure: Measure) -> None:
        """By this measure from now on, wherever this project is read with this model."""
        self._want(measure=measure)
        self._keep()

    def be_exact(self, exact: bool) -> None:
        """Look at every vector, however many there are."""
        self._want(exact=exact)

    def close_gap(self, closes: bool) -> None:
        """Look at each modality around its own mean, so that what a question means decides and not what it is."""
        self._want(closes_gap=closes)
        self._keep()

    def clear(self) -> None:
        """Ask nothing any more; where to look stays as it was chosen."""
        self._want(parts=())

    def forget(self) -> None:
        """Another project or another model: nothing that was asked holds any more."""
        self._generation += 1
        self._vectors, self._index, self._indexed, self._closed = {}, None, 0, []
        self._wish = self._kept()
        self.changed.emit()

    def _kept(self) -> _Wish:
        """What the project keeps of the space in use: by which measure, and whether the gap is closed."""
        project, encoder = self._session.project, self._session.encoder
        kept = {} if project is None or encoder is None else project.own.get(KEPT, {}).get(encoder.space, {})
        measure = kept.get("measure")
        return _Wish(measure=measure if measure in MEASURES else "cosine", closes_gap=bool(kept.get("closes_gap")))

    def _keep(self) -> None:
        project, encoder, wish = self._session.project, self._session.encoder, self._wish
        if project is None or encoder is None or project.read_only:
            return
        own = {encoder.space: {"measure": wish.measure, "closes_gap": wish.closes_gap}}
        self._session.models.ask(lambda: project.own.set(KEPT, project.own.get(KEPT, {}) | own),
                                 on_failed=self._session.failed.emit)

    def _want(self, **other: object) -> None:
        self._wish = replace(self._wish, **other)  # type: ignore[arg-type]
        self.changed.emit()
        self._ask()

    # ---- answering --------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """What is not encoded yet waits for the models; all else is reckoned at once."""
        session, parts = self._session, self._wish.parts
        project, encoder, view = session.project, session.encoder, session.view
        self._generation += 1
        if project is None:
            return
        if not parts:
            self._tell(None)
            return
        if encoder is None:
            session.noted.emit(tr("The model is still loading. Ask again in a moment."))
            return
        try:
            missing = self._take_known(parts, view)
        except StudioError as error:
            session.failed.emit(error)
            return

        def encode() -> tuple[VectorView, dict[Asked, Vector]]:
            return (view if view is not None else project.vectors(encoder),
                    {asked: _encoded(project, encoder, asked) for asked in missing})

        def encoded(found: tuple[VectorView, dict[Asked, Vector]]) -> None:
            self._vectors.update(found[1])
            self._reckon(found[0])

        if missing or view is None:
            session.models.ask(encode, on_done=self._if_asked_still(encoded),
                               on_failed=self._if_asked_still(session.failed.emit))
        else:
            self._reckon(view)

    def _reckon(self, view: VectorView) -> None:
        wish, modality = self._wish, self._modality(self._wish.parts)
        index = None if self._session.bridge else self._index  # bridged rows lie elsewhere with every item encoded
        vectors = {part.asked: self._vectors[part.asked] for part in wish.parts}
        closed = self._closed
        self._session.maths.ask(lambda: _answer(wish, view, vectors, modality, index, closed),
                                on_done=self._if_asked_still(self._tell),
                                on_failed=self._if_asked_still(self._session.failed.emit))

    def _if_asked_still(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        """The call, as long as nothing else is asked meanwhile."""
        generation = self._generation
        return lambda found: call(found) if generation == self._generation else None

    def _tell(self, answer: Answer | None) -> None:
        self._session.answer = answer
        self._session.answered.emit(answer)

    def _take_known(self, parts: tuple[Part, ...], view: VectorView | None) -> list[Asked]:
        """Take the vectors that the project has; gives what has to be encoded. Raises SpaceMismatch for a sample that
        has none.
        """
        for part in parts:
            if isinstance(part.asked, int) and view is not None:
                vector = view.vector(part.asked) if part.asked > 0 else fused(
                    view, self._session.samples[-part.asked], how=self._session.fusing.how)
                if vector is not None:
                    self._vectors[part.asked] = vector
        return [part.asked for part in parts if part.asked not in self._vectors]

    def _modality(self, parts: tuple[Part, ...]) -> str:
        """The modality that all parts have, or ""."""
        found = {self._modality_of(part.asked) for part in parts}
        return found.pop() if len(found) == 1 else ""

    def _modality_of(self, asked: Asked) -> str:
        if isinstance(asked, str):
            return "text"
        if isinstance(asked, int):
            return self._session.items[asked].modality if asked in self._session.items else ""
        return asked.modality if isinstance(asked, MediaRef) else ""

    # ---- the index --------------------------------------------------------------------------------------------

    def _look_for_index(self) -> None:
        """Open the project's index where there are enough vectors, and make one where it is missing or stale."""
        session, view, project = self._session, self._session.view, self._session.project
        if view is None or project is None or not index_wanted(view, self._index) or session.jobs.has(tr("Encoding")) \
                or len(view) <= STALE * self._indexed or session.bridge:
            return
        self._indexed = len(view)  # once for so many: what failed or was cancelled is not tried again at once
        folder, may_write = project.folder, not project.read_only

        def take(found: Index | None) -> None:
            if session.view is None or session.view.key != view.key or project is not session.project:
                return
            self._index = found or self._index
            if may_write and index_wanted(view, found):
                self._make_index(folder, view, take)

        session.pool.ask(lambda: known_index(folder, view), take, session.failed.emit)

    def _make_index(self, folder: Path, view: VectorView, take: Callable[[Index], None]) -> None:
        def made(found: Index) -> None:
            job.finish(tr("{} vectors; searches are quicker now").format(count(found.count)), [])
            take(found)

        session = self._session
        job = session.jobs.start(tr("Indexing for the search"), lambda: make_index(folder, view), lambda _: None, made,
                                 session.failed.emit, session.maths)


def _encoded(project: Project, encoder: Encoder, asked: Asked) -> Vector:
    """On the models' lane."""
    return project.query(encoder, project.item(asked).ref if isinstance(asked, int) else asked)


def _answer(wish: _Wish, view: VectorView, vectors: dict[Asked, Vector], modality: str, index: Index | None,
            closed: list[VectorView]) -> Answer:
    """On the lane for maths. ``closed`` keeps the newest view, and it with the gap between modalities closed."""
    if wish.closes_gap:
        own = view.modalities == modality
        mean = view.vectors[own].mean(axis=0) if own.any() else view.vectors.mean(axis=0)
        vectors = {asked: vector - mean for asked, vector in vectors.items()}
        if not closed or closed[0] is not view:
            closed[:] = [view, replace(view, vectors=centred(view.vectors, view.modalities))]
        view, index = closed[1], None
    vector = combined(np.stack([vectors[part.asked] for part in wish.parts]), [part.weight for part in wish.parts])
    without = tuple(part.asked for part in wish.parts if isinstance(part.asked, int) and part.asked > 0)
    question = Question(vector, wish.measure, HITS, (wish.modality,) if wish.modality else MODALITIES, wish.scope.ids,
                        without, modality, wish.exact)
    return Answer(_title(wish.parts), vector, wish.measure, find(view, question, index),
                  Scores(view, vector, wish.measure))


def _title(parts: tuple[Part, ...]) -> str:
    """“a dog + rain − people”"""
    return " ".join(f"{'' if at == 0 and part.weight >= 0 else '− ' if part.weight < 0 else '+ '}{part.title}"
                    for at, part in enumerate(parts))
