"""Why this score? Items, samples or words: what on either side makes them near, and whether that is true."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent, QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.why.box_game import BoxGame
from mmstudio.desktop.why.hover import Hover
from mmstudio.desktop.why.newest import Newest
from mmstudio.desktop.why.other_model import MODEL, OtherModel, offer
from mmstudio.desktop.why.sides import (
    BESIDE,
    FIRST,
    SECOND,
    Chosen,
    Judged,
    Outside,
    Refused,
    Shown,
    Step,
    Wish,
    explaining,
    judging,
)
from mmstudio.desktop.why.verdict import show_verdict, verdict_told
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.desktop.widgets.member_chips import MemberChips
from mmstudio.desktop.widgets.shares import Shares
from mmstudio.errors import StudioError
from mmstudio.explain.figure import Caption
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import METHODS, named
from mmstudio.explain.pairs import Pair
from mmstudio.explain.trust import rank_correlation
from mmstudio.library import Item, Sample
from mmstudio.media import MODALITIES, MediaRef
from mmstudio.progress import Progress


class ScorePage(QWidget):
    """Follows the session's current item or sample while it is visible. The other side is what is written, else what
    was searched for from outside, else the other one of two that are selected. Of a sample one member is shown.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._work = Newest(session, self._failed, self._ended)
        self._pair: Pair | None = None
        self._shown: dict[int, Shown] = {}
        self._other = OtherModel()
        self._searched: Outside | None = None
        self._searched_title = ""
        self._asked: tuple[Chosen, Chosen] | None = None
        self._members: list[int | None] = [None, None]
        self._refused: Refused = {}
        self.words = QLineEdit(placeholderText=tr("Compare with words, or select two items"))
        self.outside = QPushButton(checkable=True)
        self.method, self.beside = QComboBox(), QComboBox()
        self.score, self.badge, self.told = QLabel(), QLabel(), QLabel(wordWrap=True)
        self.judge, self.cancel = QPushButton(tr("Is it true?")), QPushButton(tr("Stop"))
        self.progress = QProgressBar(textVisible=False, maximum=1000)
        self.faces = ItemFace(session), ItemFace(session)
        self.boxes, self.hover = BoxGame(self.faces, self), Hover(session, self)
        self.members = MemberChips(tr("Members of the sample")), MemberChips(tr("Members of the other sample"))
        self.verdicts = QLabel(wordWrap=True), QLabel(wordWrap=True)
        self.shares = Shares()
        self._build()
        self._connect()

    def _build(self) -> None:
        for method in METHODS:
            self.method.addItem(tr(method.title), method.name)
        self.beside.addItem(tr("the other side"), "")
        for method in METHODS:
            self.beside.addItem(tr(method.title), method.name)
        self._offer()
        self._grey(None)
        self.words.setAccessibleName(tr("Words to compare with"))
        self.method.setAccessibleName(tr("Method"))
        self.beside.setAccessibleName(tr("Shown beside it"))
        self.score.setProperty("heading", True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self.outside.setVisible(False)
        ways, state, sides = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        ways.addWidget(self.method, 1)
        ways.addWidget(QLabel(tr("beside")))
        ways.addWidget(self.beside, 1)
        state.addWidget(self.score)
        state.addWidget(self.badge, 1)
        state.addWidget(self.hover.how)
        for button in (self.cancel, self.boxes.button, self.judge):
            state.addWidget(button)
        for parts in zip(self.members, self.faces, self.verdicts, strict=True):
            column = QVBoxLayout()
            for part, stretch in zip(parts, (0, 1, 0), strict=True):
                column.addWidget(part, stretch)
            sides.addLayout(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.words)
        layout.addWidget(self.outside, 0, Qt.AlignmentFlag.AlignLeft)
        for row in (ways, state):
            layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addLayout(sides, 1)
        layout.addWidget(self.shares)
        layout.addWidget(self.told)
        self._clear(_idle())

    def _connect(self) -> None:
        session = self._session
        session.encoderChanged.connect(self._refused.clear)  # before anything is asked of the new model
        for signal in (session.currentChanged, session.selectionChanged, session.projectOpened, session.encoderChanged):
            signal.connect(self.ask)
        for signal in (session.modelsChanged, session.encoderChanged, session.projectOpened):
            signal.connect(self._offer)
        session.answered.connect(self._asked_elsewhere)
        self.words.textChanged.connect(self._written)
        self.outside.toggled.connect(self._outside_wanted)
        self.method.activated.connect(lambda _: self.ask())
        self.beside.activated.connect(lambda _: self.ask())
        self.judge.clicked.connect(self.judge_it)
        self.cancel.clicked.connect(self._work.cancel)
        for part in (self.boxes, self.hover):
            part.told.connect(self.told.setText)
        self.hover.found.connect(self._show_hovered)
        for side, (face, members) in enumerate(zip(self.faces, self.members, strict=True)):
            face.hovered.connect(partial(self._hovered, side))
            members.chosen.connect(partial(self._member_chosen, side))

    def showEvent(self, event: QShowEvent) -> None:
        self.ask()

    def hideEvent(self, event: QHideEvent) -> None:
        self._work.cancel()

    def _offer(self) -> None:
        """Beside the map stand that of another method, or that of the same method through another model's eyes."""
        self._other.forget()
        offer(self.beside, self._session, 1 + len(METHODS))

    def _asked_elsewhere(self, answer: object) -> None:
        """Words that were searched for are compared with, unless others are written here; so is a picture, a sound or
        a text from outside.
        """
        parts = self._session.asking.parts
        asked = parts[0].asked if answer and len(parts) == 1 else None
        self._searched = asked if isinstance(asked, (Path, MediaRef)) else None
        self.outside.setVisible(self._searched is not None)
        if self._searched is not None:
            self._searched_title = parts[0].title
            self.outside.setText(tr("Compare with “{}”").format(self._searched_title[:60]))
        wanted = self._searched is not None and not self.words.isModified()
        if wanted and self.outside.isChecked():
            self.ask()
        self.outside.setChecked(wanted)
        if isinstance(asked, str) and not self.words.isModified():
            self.words.setText(asked)

    def _written(self, words: str) -> None:
        if words.strip() and self.outside.isChecked():
            self.outside.setChecked(False)  # which asks
        else:
            self.ask()

    def _outside_wanted(self, wanted: bool) -> None:
        if wanted and self.words.text():
            self.words.clear()  # which asks
        else:
            self.ask()

    def explain_pair(self) -> None:
        """Explain the two that are selected, whatever else was compared with."""
        for part in (self.words, self.outside):
            part.blockSignals(True)
        self.words.clear()
        self.outside.setChecked(False)
        for part in (self.words, self.outside):
            part.blockSignals(False)
        self.ask()

    # ---- asking -------------------------------------------------------------------------------------------------

    def _of_key(self, key: int) -> Item | Sample | None:
        return self._session.items.get(key) if key > 0 else self._session.samples.get(-key)

    def _sides(self) -> tuple[Chosen, Chosen] | None:
        key, words = self._session.current or 0, self.words.text().strip()
        one = self._of_key(key)
        if one is None:
            return None
        if words:
            return one, words
        if self._searched is not None and self.outside.isChecked():
            return one, self._searched
        others = [found for other in self._session.selection.keys[:4].tolist()
                  if other != key and (found := self._of_key(other)) is not None]
        return (one, others[0]) if len(others) == 1 else None

    def ask(self) -> None:
        """Explain what is chosen now, if it is seen."""
        if not self.isVisible():
            return
        session, sides = self._session, self._sides()
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            self._clear(tr("No model is ready yet."))
        elif sides is None:
            self._clear(_idle())
        else:
            for number, side in enumerate(sides):
                if self._asked is None or self._asked[number] != side:
                    self._members[number] = None
            self._asked = sides
            beside, device = self.beside.currentData(), session.settings["device"]
            self._show_sides(sides, same=bool(beside))
            members = {key: session.items[key] for side in sides if isinstance(side, Sample)
                       for key in side.item_ids if key in session.items}
            wish = Wish(encoder, project.limits, sides, session.view, members, (self._members[0], self._members[1]),
                        self.method.currentData(), beside,
                        lambda: self._other.get(project, beside.removeprefix(MODEL), device), dict(self._refused))
            self._work.run(lambda: explaining(wish), self._done, self._step)
            self._started()

    def _show_sides(self, sides: tuple[Chosen, Chosen], same: bool) -> None:
        self._forget_maps()
        self.shares.show_shares([])
        self.told.clear()
        for number, shown in enumerate((sides[0], sides[0] if same else sides[1])):
            self.faces[number].setVisible(True)
            if not isinstance(shown, Sample):
                self.members[number].setVisible(False)
            self.faces[number].show_map(None)
            if isinstance(shown, (Item, str)):
                self.faces[number].show_item(shown)
                self.boxes.show_known(self.faces[number])
            else:  # which picture it is, is known later
                self.faces[number].picture.show_boxes(())

    def _member_chosen(self, side: int, key: int | None) -> None:
        self._members[side] = key
        self.ask()

    # ---- answers ------------------------------------------------------------------------------------------------

    def _forget_maps(self) -> None:
        self._pair, self._shown = None, {}
        self.hover.show_pair(None)
        self.badge.clear()
        for label in self.verdicts:
            show_verdict(label, None)

    def _clear(self, why: str) -> None:
        self._work.cancel()
        self._forget_maps()
        self._asked = None
        for part in (*self.faces, *self.members):
            part.setVisible(False)
        self.shares.show_shares([])
        self.score.clear()
        self.told.setText(why)
        self._ended()

    def _started(self) -> None:
        self.progress.setValue(0)
        self.boxes.button.setChecked(False)
        self.progress.setVisible(True)
        self.cancel.setVisible(True)
        self.judge.setEnabled(False)

    def _ended(self) -> None:
        self.progress.setVisible(False)
        self.cancel.setVisible(False)
        self.judge.setEnabled(bool(self._shown))
        self.boxes.show_button()

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    def _step(self, progress: Progress) -> None:
        self.progress.setValue(round(1000 * progress.done / max(1, progress.total)))
        if isinstance(progress.fresh, Step):
            self._show(progress.fresh)
        elif isinstance(progress.fresh, Judged):
            self._show_verdict(progress.fresh)

    def _done(self, notes: list[str]) -> None:
        self.told.setText(" ".join([tr(named(self.method.currentData()).text), *notes,
                                    tr("Point at a part to see what it is near to on the other side.")
                                    if self.hover.ready else ""]))

    def _show(self, step: Step) -> None:
        if step.members is not None and step.member is not None:
            self._show_members(step.side, step.members, step.member)
        if step.pair is not None:
            self._pair = step.pair
            self.hover.show_pair(None if self.beside.currentData() else step.pair)
            self._show_pair(step.pair)
        if step.shares is not None:
            names = {name: modality_name(name) for name in MODALITIES} if step.score is not None else {}
            self.shares.show_shares([(names.get(name, name), share) for name, share in step.shares])
        if step.score is not None:
            self.score.setText(tr("Cosine {:.3f}").format(step.score))
        if step.refused is not None:
            self._refused.update(step.refused)
            self._grey(self._pair)
            self.method.setCurrentIndex(self.method.findData(step.method))
        if step.shown is not None:
            self._shown[step.side] = step.shown
            self._draw()

    def _show_pair(self, pair: Pair) -> None:
        """What came from outside is known only now."""
        sides = self._asked or ("", "")
        if not any(isinstance(side, Sample) for side in sides):
            self.score.setText(tr("Cosine {:.3f}").format(pair.score))
        if isinstance(sides[SECOND], (Path, MediaRef)) and not self.beside.currentData():
            self.faces[SECOND].show_media(pair.sides[SECOND].media)
            self.faces[SECOND].picture.show_boxes(())

    def _show_members(self, side: int, members: list[int], shown: Item) -> None:
        """A chip for each, the strongest first."""
        if side == SECOND and self.beside.currentData():
            return
        items = self._session.items
        self.members[side].show_members([(key, items[key].title if key in items else "") for key in members], shown.id)
        for face in self.faces if side == FIRST and self.beside.currentData() else (self.faces[side],):
            face.show_item(shown)
            self.boxes.show_known(face)

    def _grey(self, pair: Pair | None) -> None:
        """Of the methods those that neither side allows cannot be chosen; the reason is their tooltip."""
        for box, sides in ((self.method, (FIRST, SECOND)), (self.beside, (FIRST,))):
            rows = box.model()
            assert isinstance(rows, QStandardItemModel)
            for method in METHODS:
                row = rows.item(box.findData(method.name))
                why = [self._refused.get(pair.sides[side].modality, {}).get(method.name, "") if pair else ""
                       for side in sides]
                row.setEnabled(not all(why))
                row.setToolTip(" ".join([tr(method.text), *dict.fromkeys(filter(None, why))]))

    def _draw(self) -> None:
        beside = self._shown.get(BESIDE if self.beside.currentData() else SECOND)
        for side, (face, one) in enumerate(zip(self.faces, (self._shown.get(FIRST), beside), strict=True)):
            face.show_map(one.found if one else None, self._caption(side, one) if one else None)
        if FIRST in self._shown and BESIDE in self._shown:
            one, other = self._shown[FIRST], self._shown[BESIDE]
            self.badge.setText(tr("Rank correlation {:.2f}").format(
                rank_correlation(one.subject.parts, one.found, other.found)))

    def _caption(self, side: int, shown: Shown) -> Caption:
        """What a map is of; the score where it is that of the pair."""
        first = side == FIRST or bool(self.beside.currentData())
        item, query = (self._title(0 if first else 1), self._title(1 if first else 0))
        ours = self._pair is not None and any(shown.subject is one for one in self._pair.sides)
        return Caption.of(shown.subject.encoder, item, query, self._pair.score if self._pair and ours else None)

    def _title(self, side: int) -> str:
        """Of a sample that of the member that is shown."""
        chosen = self._asked[side] if self._asked else ""
        if isinstance(chosen, str):
            return chosen
        if isinstance(chosen, Sample):
            member = self._session.items.get(self.members[side].key or 0)
            return member.title if member else chosen.name
        if isinstance(chosen, Item):
            return chosen.title
        return self._searched_title

    @property
    def _maps(self) -> list[RelevanceMap | None]:
        return [self._shown[side].found if side in self._shown else None for side in (FIRST, SECOND)]

    def _hovered(self, side: int, position: int | None) -> None:
        """Show on the other side what the part under the pointer is near to."""
        found = self._maps[side]
        self.hover.point(side, position, found.positions if found else None)

    def _show_hovered(self, side: int, found: RelevanceMap | None) -> None:
        other = self._shown.get(side)
        if found is None:
            self._draw()
        else:
            self.faces[side].show_map(found, self._caption(side, other) if other else None)

    # ---- is it true? --------------------------------------------------------------------------------------------

    def judge_it(self) -> None:
        """Test every map that is shown."""
        shown = list(self._shown.items())
        if shown:
            self._work.run(lambda: judging(shown), lambda _: None, self._step)
            self._started()

    def _show_verdict(self, judged: Judged) -> None:
        show_verdict(self.verdicts[min(judged.side, SECOND)], judged.verdict)
        if judged.side == FIRST:
            self.told.setText(" ".join([verdict_told(judged.verdict), *self.boxes.sentences()]))


def _idle() -> str:
    return tr("Click an item, then write words or select a second one: here is why they are near.")
