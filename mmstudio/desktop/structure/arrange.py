"""How the map is made: which projection, with what, in two or three dimensions, or with axes from words."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import KINDS, QUICK, Arrangement
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.filtering import Rows
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, tr
from mmstudio.explore.projection import METHODS, Wish
from mmstudio.library import Items
from mmstudio.progress import Progress
from mmstudio.project import Project

FEWEST, MOST = 3, 200
TELLS = {
    "auto": "PaCMAP at once up to {} items, UMAP beside the window for more.",
    "umap": "UMAP: neighbourhoods first, with a fair picture of the whole. The best trust for its time.",
    "pacmap": "PaCMAP: a little less exact near by, a little truer to how groups lie to one another.",
    "tsne": "t-SNE: the most faithful neighbourhoods, the slowest, and distances between groups mean nothing.",
    "pca": "PCA: straight shadows of the vectors, at once. Distances are true, but most neighbours are lost.",
    "words": "Each axis is the closeness to what you write: a picture, sound or text further right is nearer to the "
             "first, one further up nearer to the second.",
}


class ArrangePage(QWidget):
    """Controls left, what they mean right."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._behind, self._rows = Behind(session), Rows(session, self)
        self.method, self.axes, self.measure, self.target = QComboBox(), QComboBox(), QComboBox(), QComboBox()
        self.neighbours = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=100)
        self.distance = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=99, value=10)
        self.strength = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=95, value=50)
        self.perplexity = QDoubleSpinBox(minimum=2, maximum=200, value=30, decimals=0)
        self.seed = QSpinBox(maximum=99_999, toolTip=tr("The same seed gives the same map"))
        self.close_gap = QCheckBox(tr("Each modality around its own mean"), checked=True)
        self.right, self.upwards = QLineEdit(placeholderText=tr("a dog")), QLineEdit(placeholderText=tr("night"))
        self.around = QSlider(Qt.Orientation.Horizontal, minimum=-180, maximum=180)
        self.above = QSlider(Qt.Orientation.Horizontal, minimum=-90, maximum=90)
        self.start, self.told, self.neighbours_told = QPushButton(tr("Arrange")), QLabel(wordWrap=True), QLabel()
        self.progress = Reckoning(session)
        self._build()
        self._connect()
        self._method_chosen()

    def _build(self) -> None:
        self.method.addItem(tr("Automatic"), "auto")
        for method in METHODS:
            self.method.addItem(KINDS[method], method)
        self.method.addItem(tr("Axes from words"), "words")
        for axes, title in ((2, tr("two dimensions")), (3, tr("three dimensions"))):
            self.axes.addItem(title, axes)
        for metric, title in (("cosine", tr("Cosine")), ("euclid", tr("Euclid")), ("pearson", tr("Pearson"))):
            self.measure.addItem(title, metric)
        self.target.addItem(tr("nothing"), "")
        self.neighbours.setValue(_slider_of(15))
        self.start.setProperty("primary", True)
        self._form = QFormLayout()
        near = QHBoxLayout()
        for widget in (QLabel(tr("local")), self.neighbours, QLabel(tr("global")), self.neighbours_told):
            near.addWidget(widget)
        self._rows_of = {"near": near, "distance": self.distance, "perplexity": self.perplexity, "axes": self.axes,
                         "metric": self.measure, "target": self.target, "strength": self.strength, "seed": self.seed,
                         "gap": self.close_gap, "x": self.right, "y": self.upwards, "around": self.around,
                         "above": self.above}
        self._form.addRow(tr("Method"), self.method)
        for name, title in (
                ("near", tr("Neighbours")), ("distance", tr("Packed … spread")), ("perplexity", tr("Perplexity")),
                ("axes", tr("Map in")), ("metric", tr("Near by")), ("target", tr("Tell apart by")),
                ("strength", tr("How strongly")), ("gap", tr("Modality gap")), ("seed", tr("Seed")),
                ("x", tr("To the right")), ("y", tr("Upwards")), ("around", tr("Turn")), ("above", tr("Tilt"))):
            self._form.addRow(title, self._rows_of[name])  # type: ignore[call-overload]
        self.told.setProperty("faint", True)
        side = QVBoxLayout()
        side.addWidget(self.told)
        side.addStretch(1)
        side.addWidget(self.progress)
        side.addWidget(self.start, 0, Qt.AlignmentFlag.AlignRight)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(self._form, 1)
        layout.addSpacing(16)
        layout.addLayout(side, 1)

    def _connect(self) -> None:
        session = self._session
        self.method.currentIndexChanged.connect(lambda _: self._method_chosen())
        self.target.currentIndexChanged.connect(lambda _: self._method_chosen())
        self.neighbours.valueChanged.connect(lambda _: self._tell_neighbours())
        self.start.clicked.connect(self.arrange)
        for words in (self.right, self.upwards):
            words.returnPressed.connect(self.arrange)
        self.progress.stop_button.clicked.connect(session.mapping.cancel)
        for slider in (self.around, self.above):
            slider.valueChanged.connect(lambda _: self._map.turning.to(self.around.value(), self.above.value()))
        self._map.turning.changed.connect(self._turned)
        session.arranged.connect(self._arranged)
        session.projectOpened.connect(self._opened)
        self._rows.changed.connect(self._ask_columns)
        self._tell_neighbours()
        self._ask_columns()

    # ---- what can be chosen -----------------------------------------------------------------------------------

    def _method_chosen(self) -> None:
        """Show what matters for the method."""
        method = self.method.currentData()
        supervised = method == "umap" and bool(self.target.currentData())
        solid = self._map.turning.is_solid
        shown = {"near": method in ("umap", "pacmap"), "distance": method == "umap", "perplexity": method == "tsne",
                 "axes": method in ("umap", "pacmap", "pca"), "metric": method not in ("auto", "words"),
                 "target": method == "umap", "strength": supervised, "seed": method in ("umap", "pacmap", "tsne"),
                 "gap": method != "words", "x": method == "words", "y": method == "words",
                 "around": solid, "above": solid}
        for name, visible in shown.items():
            self._form.setRowVisible(self._rows_of[name], visible)  # type: ignore[call-overload]
        self.told.setText(tr(TELLS[method]).format(count(QUICK)))

    def _tell_neighbours(self) -> None:
        self.neighbours_told.setText(str(_neighbours_of(self.neighbours.value())))
        self.neighbours_told.setMinimumWidth(28)

    def _ask_columns(self) -> None:
        self._rows.ask(_texts, self._show_columns)

    def _show_columns(self, names: list[str]) -> None:
        chosen = self.target.currentData()
        self.target.blockSignals(True)
        self.target.clear()
        self.target.addItem(tr("nothing"), "")
        for name in names:
            self.target.addItem(tr("Tag") if name == "tag" else name, name)
        self.target.setCurrentIndex(max(0, self.target.findData(chosen)))
        self.target.blockSignals(False)
        self._method_chosen()

    # ---- arranging --------------------------------------------------------------------------------------------

    def wish(self) -> Wish | None:
        """What is chosen; None for what suits the number of items."""
        method = self.method.currentData()
        if method in ("auto", "words"):
            return None
        return Wish(method, 2 if method == "tsne" else self.axes.currentData(),
                    _neighbours_of(self.neighbours.value()), self.distance.value() / 100, self.perplexity.value(),
                    self.measure.currentData(), self.seed.value())

    def arrange(self) -> None:
        """Make the map as it is chosen."""
        arrangement = Arrangement(self.wish(), self.close_gap.isChecked(), strength=self.strength.value() / 100)
        if self.method.currentData() == "words":
            self._arrange_by_words()
        elif self.method.currentData() == "umap" and self.target.currentData():
            self._rows.ask(
                partial(_categories, name=self.target.currentData()),
                partial(self._arrange_apart, arrangement, self._session.project), self._session.failed.emit)
        else:
            self._session.mapping.anew(arrangement)

    def _arrange_apart(self, arrangement: Arrangement, project: Project | None,
                       found: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        """Another project that was opened meanwhile has categories of its own."""
        if project is self._session.project:
            self._session.mapping.anew(replace(arrangement, target_ids=found[0], target=found[1]))

    def _arrange_by_words(self) -> None:
        session, words = self._session, (self.right.text().strip(), self.upwards.text().strip())
        project, encoder = session.project, session.encoder
        if project is None or encoder is None or not all(words):
            session.noted.emit(tr("Write what each axis is to be close to, and wait until the model is ready."))
            return
        self._behind.ask(
            lambda: np.stack([project.query(encoder, one) for one in words]),
            lambda axes: session.mapping.anew(Arrangement(axes=axes, titles=words)), by_model=True)

    def _arranged(self, progress: Progress | None) -> None:
        self.progress.show_step(progress)

    def _opened(self) -> None:
        self._method_chosen()

    def _turned(self) -> None:
        """The sliders say from where the map is seen."""
        turning = self._map.turning
        for slider, angle in ((self.around, turning.around), (self.above, turning.above)):
            slider.blockSignals(True)
            slider.setValue(round(angle))
            slider.blockSignals(False)
        if turning.is_solid != self._form.isRowVisible(self.around):
            self._method_chosen()


def _neighbours_of(step: int) -> int:
    """The slider is even in ratios."""
    return round(FEWEST * (MOST / FEWEST) ** (step / 100))


def _slider_of(neighbours: int) -> int:
    return round(100 * float(np.log(neighbours / FEWEST) / np.log(MOST / FEWEST)))


def _texts(items: Items) -> list[str]:
    """In the lane: the columns that hold categories."""
    from mmstudio.library.histogram import drawable

    return [name for name, kind in drawable(items.columns().names()).items() if kind not in ("number", "date")]


def _categories(items: Items, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In the lane: ids and categories, -1 for none; of an item's several tags the first."""
    from mmstudio.library.query_match import coded

    known, ids = coded(items.columns().column(name)), items.ids()
    if known.rows is None:
        return ids, np.asarray(known.codes, np.int64)
    codes = np.full(len(ids), -1, np.int64)
    codes[known.rows[::-1]] = known.codes[::-1]
    return ids, codes


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return ArrangePage(session, map_)
