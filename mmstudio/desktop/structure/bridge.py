"""A bridge to another model's space: what the model in use cannot read comes onto its map, over texts both have read.
"""

from __future__ import annotations

from functools import partial

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.bridging import Bridged, bridged
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.plain_table import fill_row, plain_table
from mmstudio.errors import StudioError
from mmstudio.library import SpaceKey, VectorView
from mmstudio.project import Project, space_key

NOTE = ("No model reads everything. Texts that this model and another have both read tell how the other's space lies "
        "to this one's: turned only (Schönemann 1966), or by a ridge regression (Hoerl and Kennard 1970). The error is "
        "measured on texts that the bridge was not made from. It is a bridge of texts: what only sounds or only "
        "pictures differ in may be lost on the way.")
NONE = ("This project has vectors of one model alone. Read it with another (Model ▸ Models): a bridge joins the spaces "
        "of two.")
WAYS = {"procrustes": "Turned", "ridge": "Ridge regression"}
COLUMNS = ("Way", "Texts", "Cosine", "Recall@1", "By chance")


class BridgePage(QWidget):
    """Measures the bridge from a space that was chosen, and lets its items onto the map and into searches."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._behind, self._looking = Behind(session, self._failed), Behind(session)
        self.found: Bridged | None = None
        self._keys: dict[str, SpaceKey] = {}
        self.other = QComboBox()
        self.other.setAccessibleName(tr("From the space of"))
        self.start = QPushButton(tr("Measure"))
        self.start.setProperty("primary", True)
        self.bring = QCheckBox(tr("Bring its items onto the map"))
        self.bring.setToolTip(tr("What only the other model reads comes onto the map, and into searches"))
        self.told = QLabel(tr(NOTE), wordWrap=True)
        self.told.setProperty("faint", True)
        self.table: QTableWidget = plain_table([tr(title) for title in COLUMNS])
        self.table.setAccessibleName(tr("Bridges"))
        self.result = QLabel(wordWrap=True)
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(QLabel(tr("From the space of")))
        for widget in (self.other, self.start, self.bring):
            left.addWidget(widget)
        left.addStretch(1)
        right.addWidget(self.table, 1)
        for label in (self.result, self.told):
            right.addWidget(label)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 1)
        layout.addLayout(right, 2)
        self.start.clicked.connect(self.measure)
        self.other.activated.connect(lambda _: self._clear())
        self.bring.clicked.connect(self._bring)
        session.bridged.connect(self._follow)
        session.projectOpened.connect(self._look)
        session.encoderChanged.connect(self._look)
        session.vectorsChanged.connect(self._look_again)
        self._offer([])
        self._follow()
        self._look_again()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look_again()

    # ---- what there is to bridge --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Another project or model."""
        self._clear()
        self._offer([])
        self._look_again()

    def _look_again(self) -> None:
        project, encoder = self._session.project, self._session.encoder
        if project is not None and encoder is not None and self.isVisible() and not (self.found and self._keys):
            own = space_key(encoder)
            self._looking.ask(lambda: [key for key in project.spaces() if key != own], self._offer)

    def _offer(self, keys: list[SpaceKey]) -> None:
        found = {key.digest: key for key in keys}
        if found != self._keys:
            before = self.found.source.digest if self.found is not None else self.other.currentData()
            self._keys = found
            self.other.clear()
            for digest, key in found.items():
                self.other.addItem(key.space, digest)
            self.other.setCurrentIndex(max(0, self.other.findData(before)) if keys else -1)
        self.start.setEnabled(bool(keys))
        self.other.setEnabled(bool(keys))
        self.told.setText(tr(NOTE if keys else NONE))

    def _bring(self, wanted: bool) -> None:
        bridge = self.found if wanted else None
        self._session.use_bridge(bridge)
        self._session.kept_bridge.keep(bridge)

    def _follow(self) -> None:
        """The bridge of last time stands again, or there is none any more."""
        bridge = self._session.bridge
        if bridge is not None and bridge is not self.found:
            self._show(bridge)
            self.other.setCurrentIndex(self.other.findData(bridge.source.digest))
        self.bring.setChecked(bridge is not None)

    def _clear(self) -> None:
        self._session.use_bridge(None)
        self.found = None
        self._behind.forget()
        self.table.setRowCount(0)
        self.result.clear()
        self.bring.setChecked(False)
        self.bring.setEnabled(False)

    # ---- the bridge ---------------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Make it behind the window, and tell how far it holds."""
        project, encoder = self._session.project, self._session.encoder
        key = self._keys.get(self.other.currentData())
        if project is None or encoder is None or key is None:
            return
        self._clear()
        self.result.setText(tr("Measuring …"))
        self._behind.ask(partial(_made, project, project.vectors(encoder), key), self._show, by_model=True)

    def _failed(self, error: StudioError) -> None:
        self.result.setText(str(error))

    def _show(self, found: Bridged) -> None:
        self.found = found
        self.table.setRowCount(len(found.tried))
        for row, one in enumerate(found.tried):
            fill_row(self.table, row, (tr(WAYS[one.way]), count(found.texts), f"{one.cosine:.3f}", f"{one.recall:.1%}",
                                       f"{one.chance:.1%}"))
        kinds = {name: int((found.modalities == name).sum()) for name in sorted(set(found.modalities.tolist()))}
        brings = ", ".join(f"{modality_name(name)} {count(number)}" for name, number in kinds.items())
        self.bring.setEnabled(bool(kinds))
        holds = found.best.recall > 2 * found.best.chance
        self.result.setText(" ".join([
            tr("Of texts left out, {:.0%} land nearest to where they belong ({:.0%} by chance).").format(
                found.best.recall, found.best.chance),
            tr("It would bring: {}.").format(brings) if kinds else tr("This model reads all that the other does."),
            "" if holds else tr("Do not trust this bridge: it tells hardly more than chance.")]).strip())


def _made(project: Project, view: VectorView, key: SpaceKey) -> Bridged:
    """On the models' lane, where the project's tables are read and written."""
    return bridged(view, project.space(key))


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return BridgePage(session)
