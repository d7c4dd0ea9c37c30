"""What the model sees of the item, and what becomes of its vector when the item is changed a little."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSlider,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.trials import Change, Trial, Trials, share_of, strength_at
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.hits import HitsView
from mmstudio.desktop.widgets.seen import SeenView
from mmstudio.errors import StudioError
from mmstudio.explain.perturb import PERTURBATIONS, named
from mmstudio.library import Item

STEPS = 200


class TrialPanel(QWidget):
    """Follows the session's current item; computes only while it is visible."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self._trials = Trials(session)
        self.seen = SeenView()
        self.changes, self.slider = QComboBox(), QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=STEPS)
        self._reset = QPushButton(tr("Undo the change"))
        self._strength, self._about, self.told = QLabel(), QLabel(wordWrap=True), QLabel(wordWrap=True)
        self._near = QProgressBar(maximum=1000, textVisible=False)
        self.hits = HitsView(session, previews)
        self._stack = QStackedWidget()
        self._build()
        self._connect()

    def _build(self) -> None:
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.setSpacing(8)
        heading = QLabel(tr("Change it, and see its vector move"))
        heading.setProperty("heading", True)
        for label in (self._about, self._strength):
            label.setProperty("faint", True)
        self._strength.setMinimumWidth(120)
        self.changes.setAccessibleName(tr("Change"))
        self.slider.setAccessibleName(tr("Strength of the change"))
        which, how_much = QHBoxLayout(), QHBoxLayout()
        which.addWidget(self.changes, 1)
        which.addWidget(self._reset)
        how_much.addWidget(self.slider, 1)
        how_much.addWidget(self._strength)
        self._near.setFixedHeight(8)
        layout.addWidget(self.seen)
        layout.addWidget(heading)
        layout.addLayout(which)
        layout.addLayout(how_much)
        for widget in (self._about, self.told, self._near, self.hits):
            layout.addWidget(widget)
        layout.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        self._stack.addWidget(EmptyState(tr(
            "Click a picture, a sound or a text: here is what the model gets of it, and you can change it - blur, "
            "crop, noise, pitch, left-out words - and see how far its vector moves.")))
        self._stack.addWidget(scroll)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _connect(self) -> None:
        session = self._session
        for signal in (session.currentChanged, session.projectOpened, session.encoderChanged):
            signal.connect(self._show_current)
        self._trials.tried.connect(self._show)
        self.changes.activated.connect(lambda _: self._change_chosen())
        self.slider.valueChanged.connect(lambda _: self._ask())
        self._reset.clicked.connect(self._undo)
        self.hits.opened.connect(self.opened)

    def showEvent(self, event: object) -> None:
        self._show_current()

    @property
    def _item(self) -> Item | None:
        return self._session.items.get(self._session.current or 0)

    def _show_current(self) -> None:
        item = self._item
        self._stack.setCurrentIndex(0 if item is None else 1)
        if item is None or not self.isVisible():
            return
        shown = [self.changes.itemData(i) for i in range(self.changes.count())]
        offered = [p.name for p in PERTURBATIONS if p.modality == item.modality]
        if shown != offered:
            self.changes.clear()
            for name in offered:
                self.changes.addItem(tr(named(name).title), name)
        self._undo()

    def _change_chosen(self) -> None:
        self._set_slider(named(self.changes.currentData()).default)
        self._ask()

    def _undo(self) -> None:
        self._set_slider(named(self.changes.currentData()).neutral)
        self._ask()

    def _set_slider(self, strength: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(STEPS * share_of(self.changes.currentData(), strength)))
        self.slider.blockSignals(False)

    def _ask(self) -> None:
        item, name = self._item, self.changes.currentData()
        if item is None or not name:
            return
        chosen = named(name)
        neutral = self.slider.value() == round(STEPS * share_of(name, chosen.neutral))
        strength = chosen.neutral if neutral else strength_at(name, self.slider.value() / STEPS)
        self._strength.setText(f"{strength:,.4g} {tr(chosen.unit)}".strip())
        self._about.setText(tr(chosen.text))
        self._reset.setEnabled(not neutral)
        self._trials.ask(item, None if neutral else Change(name, strength))

    def _show(self, found: Trial | StudioError) -> None:
        if isinstance(found, StudioError):
            self.told.setText(str(found))
            return
        if found.key != self._session.current:
            return
        self.seen.show_seen(found.seen)
        self.hits.show_hits(found.hits)
        self._near.setValue(round(1000 * max(0.0, found.cosine)))
        if found.change is None:
            self.told.setText(tr("Unchanged. The vector is where it was."))
            return
        shown = sum(len(hits) for hits in found.hits.values())
        self.told.setText(tr("Cosine to the unchanged item {:.3f}. Of the {} nearest, {} are new.").format(
            found.cosine, count(shown), count(len(found.gained))))
