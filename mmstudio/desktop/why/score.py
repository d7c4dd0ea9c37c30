"""Why this score? Two items, or an item and a text: what on either side makes them near, and whether that is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.why.newest import Newest, at_once
from mmstudio.desktop.why.other_model import MODEL, OtherModel, offer
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.desktop.widgets.shares import Shares
from mmstudio.encoders.base import Encoder
from mmstudio.errors import StudioError
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import METHODS, named
from mmstudio.explain.pairs import Pair, modality_shares, nearest_token, pair_of, word_shares
from mmstudio.explain.subject import Subject
from mmstudio.explain.trust import Verdict, rank_correlation, verdict_of
from mmstudio.library import Item, Sample, VectorView
from mmstudio.media import Limits, Media, Modality, load
from mmstudio.progress import Progress, Work


@dataclass(frozen=True)
class Step:
    """What is told meanwhile: the pair, a side's map so far, or the shares of words."""

    side: int = 0
    found: RelevanceMap | None = None
    pair: Pair | None = None
    words: RelevanceMap | None = None


class ScorePage(QWidget):
    """Follows the session's current item while it is visible. The other side is what is written, else the other one of
    two selected items.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._work = Newest(session, self._failed, self._ended)
        self._pair: Pair | None = None
        self._maps: list[RelevanceMap | None] = [None, None]
        self._beside: RelevanceMap | None = None
        self._other = OtherModel()
        self.words = QLineEdit(placeholderText=tr("Compare with words, or select two items"))
        self.method, self.beside = QComboBox(), QComboBox()
        self.score, self.badge, self.told = QLabel(), QLabel(), QLabel(wordWrap=True)
        self.judge, self.cancel = QPushButton(tr("Is it true?")), QPushButton(tr("Stop"))
        self.progress = QProgressBar(textVisible=False, maximum=1000)
        self.faces = ItemFace(session), ItemFace(session)
        self.shares = Shares()
        self._build()
        self._connect()

    def _build(self) -> None:
        for method in METHODS:
            self.method.addItem(tr(method.title), method.name)
            self.method.setItemData(self.method.count() - 1, tr(method.text), Qt.ItemDataRole.ToolTipRole)
        self.beside.addItem(tr("the other side"), "")
        for method in METHODS:
            self.beside.addItem(tr(method.title), method.name)
        self._offer()
        self.words.setAccessibleName(tr("Words to compare with"))
        self.method.setAccessibleName(tr("Method"))
        self.beside.setAccessibleName(tr("Shown beside it"))
        self.score.setProperty("heading", True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        ways, state, sides = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        ways.addWidget(self.method, 1)
        ways.addWidget(QLabel(tr("beside")))
        ways.addWidget(self.beside, 1)
        state.addWidget(self.score)
        state.addWidget(self.badge, 1)
        state.addWidget(self.cancel)
        state.addWidget(self.judge)
        for face in self.faces:
            sides.addWidget(face, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.words)
        for row in (ways, state):
            layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addLayout(sides, 1)
        layout.addWidget(self.shares)
        layout.addWidget(self.told)
        self._clear(tr("Click an item, then write words or select a second one: here is why they are near."))

    def _connect(self) -> None:
        session = self._session
        for signal in (session.currentChanged, session.selectionChanged, session.projectOpened, session.encoderChanged):
            signal.connect(self.ask)
        for signal in (session.modelsChanged, session.encoderChanged, session.projectOpened):
            signal.connect(self._offer)
        session.answered.connect(self._asked_elsewhere)
        self.words.textChanged.connect(lambda _: self.ask())
        self.method.activated.connect(lambda _: self.ask())
        self.beside.activated.connect(lambda _: self.ask())
        self.judge.clicked.connect(self.judge_it)
        self.cancel.clicked.connect(self._work.cancel)
        for side, face in enumerate(self.faces):
            face.hovered.connect(partial(self._hovered, side))

    def showEvent(self, event: QShowEvent) -> None:
        self.ask()

    def hideEvent(self, event: QHideEvent) -> None:
        self._work.cancel()

    def _offer(self) -> None:
        """Beside the map stand that of another method, or that of the same method through another model's eyes."""
        self._other.forget()
        offer(self.beside, self._session, 1 + len(METHODS))

    def _asked_elsewhere(self, answer: object) -> None:
        """Words that were searched for are compared with, unless others are written here."""
        parts = self._session.asking.parts
        if answer and len(parts) == 1 and isinstance(parts[0].asked, str) and not self.words.isModified():
            self.words.setText(parts[0].asked)

    # ---- asking -------------------------------------------------------------------------------------------------

    def _sides(self) -> tuple[Item, Item | str] | None:
        items, key = self._session.items, self._session.current or 0
        item, words = items.get(key), self.words.text().strip()
        others = [items[int(one)] for one in self._session.selection.items[:3] if one != key and one in items]
        if item is None:
            return None
        if words:
            return item, words
        return (item, others[0]) if len(others) == 1 else None

    def ask(self) -> None:
        """Explain what is chosen now, if it is seen."""
        if not self.isVisible():
            return
        project, encoder, sides = self._session.project, self._session.encoder, self._sides()
        sample = self._session.samples.get(-(self._session.current or 0))
        if project is None or encoder is None:
            self._clear(tr("No model is ready yet."))
        elif sample is not None and self._session.view is not None and self.words.text().strip():
            self._ask_sample(encoder, sample, self._session.view, self.words.text().strip())
        elif sides is None:
            self._clear(tr("Click an item, then write words or select a second one: here is why they are near."))
        else:
            beside = self.beside.currentData()
            self._show_sides(sides, same=bool(beside))
            limits, method, device = project.limits, self.method.currentData(), self._session.settings["device"]

            def other() -> Encoder:
                return self._other.get(project, beside.removeprefix(MODEL), device)

            self._work.run(lambda: _explaining(encoder, limits, sides, method, beside, other), self._done, self._step)
            self._started()

    def _show_sides(self, sides: tuple[Item, Item | str], same: bool) -> None:
        self._pair, self._maps, self._beside = None, [None, None], None
        self.badge.clear()
        self.shares.show_shares([])
        self.told.clear()
        for face, shown in zip(self.faces, (sides[0], sides[0] if same else sides[1]), strict=True):
            face.setVisible(True)
            face.show_item(shown)
            face.show_map(None)

    def _ask_sample(self, encoder: Encoder, sample: Sample, view: VectorView, words: str) -> None:
        self._clear("")
        rows = [view.rows[key] for key in sample.item_ids if view.rows.get(key, len(view)) < len(view)]

        def shares() -> dict[str, float]:
            query = encoder.forward([encoder.prepare(words, "text")])[0]
            return modality_shares(view.vectors[rows], view.modalities[rows].tolist(), sample.weights, query)

        self._work.run(at_once(shares), self._show_modalities, urgent=True)

    def _show_modalities(self, found: dict[str, float]) -> None:
        self.score.setText(tr("Cosine {:.3f}").format(sum(found.values())))
        self.shares.show_shares([(modality_name(name), share) for name, share in found.items()])
        self.told.setText(tr("What each modality of “{}” adds to its score: exact Shapley values, which sum to it."
                             ).format(self._session.samples[-(self._session.current or 0)].name))

    # ---- answers ------------------------------------------------------------------------------------------------

    def _clear(self, why: str) -> None:
        self._work.cancel()
        self._pair, self._maps, self._beside = None, [None, None], None
        for face in self.faces:
            face.setVisible(False)
        self.shares.show_shares([])
        self.score.clear()
        self.badge.clear()
        self.told.setText(why)
        self._ended()

    def _started(self) -> None:
        self.progress.setValue(0)
        self.progress.setVisible(True)
        self.cancel.setVisible(True)
        self.judge.setEnabled(False)

    def _ended(self) -> None:
        self.progress.setVisible(False)
        self.cancel.setVisible(False)
        self.judge.setEnabled(self._maps[0] is not None)

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    def _step(self, progress: Progress) -> None:
        self.progress.setValue(round(1000 * progress.done / max(1, progress.total)))
        if isinstance(progress.fresh, Step):
            self._show(progress.fresh)

    def _done(self, notes: list[str]) -> None:
        self.told.setText(" ".join([tr(named(self.method.currentData()).text), *notes,
                                    tr("Point at a part to see what it is near to on the other side.")
                                    if self._pair and self._pair.between is not None and self._beside is None else ""]))

    def _show(self, step: Step) -> None:
        if step.pair is not None:
            self._pair = step.pair
            self.score.setText(tr("Cosine {:.3f}").format(step.pair.score))
        if step.words is not None:
            names = step.words.positions.labels
            self.shares.show_shares(list(zip(names, step.words.weights.tolist(), strict=True)))
        if step.found is not None and step.side < 2:
            self._maps[step.side] = step.found
        elif step.found is not None:
            self._beside = step.found
        self._draw()

    def _draw(self) -> None:
        beside = self._beside if self.beside.currentData() else self._maps[1]
        for face, found in zip(self.faces, (self._maps[0], beside), strict=True):
            face.show_map(found)
        if self._pair is not None and self._maps[0] is not None and self._beside is not None:
            r = rank_correlation(self._pair.sides[0].parts, self._maps[0], self._beside)
            self.badge.setText(tr("Rank correlation {:.2f}").format(r))

    def _hovered(self, side: int, position: int | None) -> None:
        """Show on the other side what the part under the pointer is near to."""
        pair, found = self._pair, self._maps[side]
        if pair is None or pair.between is None or self.beside.currentData():
            return
        tokens = pair.sides[side].explanation.token_positions
        if position is None or found is None or tokens is None:
            self._draw()
            return
        token = nearest_token(tokens, found.positions, position)
        self.faces[1 - side].show_map(pair.pointed(side, token))

    # ---- is it true? --------------------------------------------------------------------------------------------

    def judge_it(self) -> None:
        """Test the map of the first side."""
        pair, found, method = self._pair, self._maps[0], self.method.currentData()
        if pair is not None and found is not None:
            self._work.run(lambda: verdict_of(pair.sides[0], found, method), self._show_verdict, self._step)
            self._started()

    def _show_verdict(self, found: Verdict) -> None:
        self.badge.setText(tr(found.badge).format(found.effect))
        deletion, insertion = found.curves.areas
        told = [tr("Area under deletion {:.3f}, under insertion {:.3f}, against {} random maps of the same texture."
                   ).format(deletion, insertion, len(found.random))]
        if found.randomised is not None:
            told.append(tr("Rank correlation with the map of a model with random weights {:.2f}.").format(
                found.randomised))
        if found.noise is not None:
            told.append(tr("With the map of a slightly noisy item {:.2f}.").format(found.noise))
        self.told.setText(" ".join(told))


def _explaining(encoder: Encoder, limits: Limits, sides: tuple[Item, Item | str], method: str, beside: str,
                other: Callable[[], Encoder]) -> Work[list[str]]:
    """The pair and what is known at once, then both sides by the method, each with its maps so far, then words. Where
    something stands ``beside`` it, a method or the ``other`` model, that instead of the second side.
    """
    pair, notes = _pair(encoder, limits, sides), list[str]()
    yield Progress(0, 1, fresh=Step(pair=pair))
    if pair.between is not None and not named(method).quick:
        for side in (0, 1):
            yield Progress(0, 1, fresh=Step(side, pair.best(side)))

    def seen_by_another() -> Subject:
        theirs = _pair(other(), limits, sides)
        notes.append(tr("The other model's cosine is {:.3f}.").format(theirs.score))
        return theirs.sides[0]

    wanted: list[tuple[int, Callable[[], Subject], str]] = [(0, lambda: pair.sides[0], method)]
    if beside.startswith(MODEL):
        wanted.append((2, seen_by_another, method))
    else:
        wanted.append((2, lambda: pair.sides[0], beside) if beside else (1, lambda: pair.sides[1], method))
    for shown, subject, name in wanted:
        try:
            work = named(name).run(subject())
            while True:
                progress = next(work)
                yield Progress(progress.done, progress.total, fresh=progress.fresh and Step(shown, progress.fresh))
        except StopIteration as stop:
            yield Progress(1, 1, fresh=Step(shown, stop.value))
        except StudioError as error:
            notes.append(str(error))
    written = next((one for one in pair.sides if one.modality == "text"), None)
    if written is not None and not beside:
        yield Progress(0, 1, fresh=Step(side=3, words=word_shares(written)))
    return notes


def _pair(encoder: Encoder, limits: Limits, sides: tuple[Item, Item | str]) -> Pair:
    return pair_of(encoder, _media(encoder, limits, sides[0]), _media(encoder, limits, sides[1]))


def _media(encoder: Encoder, limits: Limits, side: Item | str) -> tuple[Media, Modality]:
    if isinstance(side, str):
        return side, "text"
    return (load(side.ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds),
            side.modality)
