"""Zero-shot labels: class names are typed, and every picture and sound is told the nearest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.confusion import ConfusionMatrix
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.explore.zero_shot import TEMPERATURE, fitted_temperature, probabilities, prompts
from mmstudio.library import Items

TAGS = "\x00tags"
"""Stands for the tags among the names of columns, none of which can be called so."""
MOST_CLASSES = 200
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Labels:
    """``ids (n,)`` of pictures and sounds, their ``vectors (n, dim)``, the classes' ``anchors (c, dim)``, and what is
    ``true (n,)`` of each, -1 where nothing is known.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    anchors: NDArray[np.float32]
    true: NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """The labels' ``probabilities (n, classes)``, the class ``told (n,)`` of each, the rows in the ``order (n,)`` of
    how sure they are, and a ``table (classes, classes)`` of how many of what is true were told what.
    """

    probabilities: NDArray[np.float64]
    told: NDArray[np.intp]
    order: NDArray[np.intp]
    table: NDArray[np.int64]

    @classmethod
    def nothing(cls) -> Given:
        """Before anything was told."""
        return cls(np.zeros((0, 1)), np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((1, 1), np.int64))


class Told(QAbstractTableModel):
    """One row for each item, the surest first: title, class, probability, truth."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.labels: Labels | None = None
        self.given = Given.nothing()

    def show_labels(self, labels: Labels | None, given: Given) -> None:
        """Show the items of the labels."""
        self.beginResetModel()
        self.labels, self.given = labels, given
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        return 0 if self.labels is None else len(self.given.order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 4

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return (tr("Item"), tr("Told"), tr("Probability"), tr("True"))[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or self.labels is None:
            return None
        given, classes = self.given, self.labels.classes
        row = int(given.order[index.row()])
        if index.column() == 0:
            item = self._session.items.get(int(self.labels.ids[row]))
            return item.title.replace("\n", " ") if item else ""
        told, true = int(given.told[row]), int(self.labels.true[row])
        shown = classes[told], f"{given.probabilities[row, told]:.3f}", classes[true] if true >= 0 else ""
        return shown[index.column() - 1]


class LabelsPage(QWidget):
    """What to tell, left; what was told, right."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._values = session, dict[str, list[str]]()
        self._behind, self._names, self._warming = Behind(session, self._failed), Behind(session), Behind(session)
        self.classes, self.sentence = QPlainTextEdit(), QLineEdit("{}")
        self.temperature = QDoubleSpinBox(minimum=0.001, maximum=2, singleStep=0.01, decimals=3, value=TEMPERATURE)
        self.truth = QComboBox()
        self.take, self.tell = QPushButton(tr("Use its values as classes")), QPushButton(tr("Tell"))
        self.fit, self.write = QPushButton(tr("Fit")), QPushButton(tr("Write as a column…"))
        self.told, self.pointed = QLabel(wordWrap=True), QLabel()
        self.model = Told(session)
        self.table, self.matrix, self.compared = QTableView(), ConfusionMatrix(), QWidget()
        self._stack = QStackedWidget()
        self._build()
        self._connect()
        self._ask_names()
        self._forget()

    def _build(self) -> None:
        self.classes.setPlaceholderText(tr("A class on each line:\ncat\ndog\nguitar"))
        self.classes.setAccessibleName(tr("Classes"))
        self.sentence.setToolTip(tr("The model reads this sentence with each class in the place of {}"))
        self.temperature.setToolTip(tr("Cosines are divided by it before they become probabilities: the lower, the "
                                       "surer. It changes no label"))
        self.fit.setToolTip(tr("The temperature at which what is true is the most probable"))
        self.tell.setProperty("primary", True)
        form = QFormLayout()
        warmth = QHBoxLayout()
        warmth.addWidget(self.temperature, 1)
        warmth.addWidget(self.fit)
        for name, field in ((tr("Sentence"), self.sentence), (tr("Temperature"), warmth),
                            (tr("True are"), self.truth), ("", self.take)):
            form.addRow(name, field)  # type: ignore[arg-type]
        left = QVBoxLayout()
        left.addWidget(self.classes, 1)
        left.addLayout(form)
        buttons = QHBoxLayout()
        buttons.addWidget(self.tell)
        buttons.addWidget(self.write)
        left.addLayout(buttons)
        self.table.setModel(self.model)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2, 3):
            self.table.setColumnWidth(column, 110)
        shown = QWidget()
        sides = QHBoxLayout(shown)
        sides.setContentsMargins(0, 0, 0, 0)
        sides.addWidget(self.table, 1)
        beside = QVBoxLayout(self.compared)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.matrix, 1)
        beside.addWidget(self.pointed)
        sides.addWidget(self.compared, 1)
        self._stack.addWidget(EmptyState(tr("Name some classes, and every picture and sound is told the one that it is "
                                            "nearest to - without any training.")))
        self._stack.addWidget(shown)
        for label in (self.told, self.pointed):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty("faint", True)
        right = QVBoxLayout()
        right.addWidget(self.told)
        right.addWidget(self._stack, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 2)
        layout.addLayout(right, 5)

    def _connect(self) -> None:
        self.take.clicked.connect(self._take_values)
        self.tell.clicked.connect(self.predict)
        self.fit.clicked.connect(self._fit)
        self.write.clicked.connect(self._ask_column)
        self.temperature.valueChanged.connect(lambda _: self._warm(self.model.labels))
        self.matrix.cellsChosen.connect(self._choose)
        self.matrix.pointed.connect(self.pointed.setText)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._choose_rows())
        for signal in (self._session.projectOpened, self._session.itemsChanged, self._session.itemsAdded):
            signal.connect(self._ask_names)
        for signal in (self._session.projectOpened, self._session.encoderChanged):
            signal.connect(self._forget)

    # ---- what may be true -------------------------------------------------------------------------------------

    def _ask_names(self) -> None:
        items = self._session.items.copy()
        self._names.ask(lambda: _named(items), self._show_names)

    def _show_names(self, values: dict[str, list[str]]) -> None:
        before, self._values = self.truth.currentData(), values
        self.truth.clear()
        self.truth.addItem(tr("not known"), "")
        for name in values:
            self.truth.addItem(tr("the tags") if name == TAGS else name, name)
        self.truth.setCurrentIndex(max(0, self.truth.findData(before)))

    def _take_values(self) -> None:
        values = self._values.get(self.truth.currentData(), [])
        if values:
            self.classes.setPlainText("\n".join(values))

    # ---- telling ----------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        for questions in (self._behind, self._warming):
            questions.forget()
        self.model.show_labels(None, Given.nothing())
        self._stack.setCurrentIndex(0)
        self.told.clear()
        for button in (self.fit, self.write):
            button.setEnabled(False)

    def _failed(self, error: Exception) -> None:
        self.told.setText(str(error))

    def predict(self) -> None:
        """Tell every picture and sound its class, behind the window."""
        session, names = self._session, tuple(filter(None, map(str.strip, self.classes.toPlainText().splitlines())))
        project, encoder, view = session.project, session.encoder, session.view
        if project is None or encoder is None or view is None:
            self.told.setText(tr("There are no vectors yet."))
            return
        items, truth, sentence = session.items.copy(), self.truth.currentData() or "", self.sentence.text()
        self.told.setText(tr("The model reads the classes …"))

        def work() -> Labels:
            anchors = np.stack([project.query(encoder, text) for text in prompts(names, sentence)])
            rows = np.flatnonzero(view.modalities != "text")
            ids = view.ids[rows]
            return Labels(names, ids, view.vectors[rows], anchors, _true(items, ids, truth, names))

        self._behind.ask(work, self._warm, by_model=True)

    def _warm(self, labels: Labels | None) -> None:
        """Probabilities at the temperature that is set."""
        temperature = self.temperature.value()
        if labels is not None:
            self._warming.ask(lambda: _given(labels, temperature), lambda given: self._show(labels, given))

    def _show(self, labels: Labels, given: Given) -> None:
        """The items, and what their labels come to."""
        self.model.show_labels(labels, given)
        table, classes, known = given.table, labels.classes, int(given.table.sum())
        self.fit.setEnabled(known > 0)
        self.write.setEnabled(True)
        self.compared.setVisible(known > 0)
        self._stack.setCurrentIndex(1)
        numbers = np.bincount(given.told, minlength=len(classes))
        most = [at for at in np.argsort(-numbers, kind="stable")[:6].tolist() if numbers[at]]
        words = tr("{} told: ").format(count(len(given.told))) + ", ".join(
            f"{classes[at]} {count(int(numbers[at]))}" for at in most)
        if known:
            self.matrix.show_table(table, classes)
            words += tr(". Right: {} of {} that are known ({:.1f} %)").format(
                count(int(np.trace(table))), count(known), 100 * np.trace(table) / known)
        self.told.setText(words + tr(". Temperature {:g}.").format(self.temperature.value()))

    def _fit(self) -> None:
        labels = self.model.labels
        if labels is not None:
            known = labels.true >= 0
            vectors, true = labels.vectors[known], labels.true[known]
            self._behind.ask(lambda: fitted_temperature(vectors, labels.anchors, true), self.temperature.setValue)

    # ---- choosing and writing ---------------------------------------------------------------------------------

    def _choose(self, cells: list[tuple[int, int]]) -> None:
        """The items of the chosen cells of the confusion matrix."""
        labels, told = self.model.labels, self.model.given.told
        if labels is not None:
            inside = np.zeros(len(told), bool)
            for true, said in cells:
                inside |= (labels.true == true) & (told == said)
            self._session.select(labels.ids[inside])

    def _choose_rows(self) -> None:
        """Ranges of rows: of a million that are selected each would be an object of its own."""
        labels, chosen = self.model.labels, self.table.selectionModel().selection()
        parts = (chosen.at(number) for number in range(chosen.count()))
        rows = [np.arange(part.top(), part.bottom() + 1) for part in parts if part.left() == 0]
        if labels is not None and rows:
            self._session.select(labels.ids[self.model.given.order[np.concatenate(rows)]])

    def _ask_column(self) -> None:
        name, given = QInputDialog.getText(self, tr("Write as a column"), tr("Column"), text=tr("label"))
        if given and name.strip():
            self.write_column(name.strip())

    def write_column(self, name: str) -> None:
        """Write each item's class, and how sure it is, into two columns, in one step that can be undone."""
        labels, given = self.model.labels, self.model.given
        if labels is None:
            return

        def write(values: dict[int, dict[str, str | float | None]]) -> None:
            self._session.set_columns(values, tr("Labels “{}”").format(name))
            self._session.noted.emit(tr("{} items got the column “{}”. Ctrl+Z takes it back.").format(
                count(len(values)), name))

        self._behind.ask(partial(_columns, labels, given, name, name + " " + tr("probability")), write)


def _given(labels: Labels, temperature: float) -> Given:
    """In the pool."""
    found = probabilities(labels.vectors, labels.anchors, temperature)
    told, known, size = found.argmax(axis=1), labels.true >= 0, len(labels.classes)
    table = np.bincount(labels.true[known] * size + told[known], minlength=size * size).reshape(size, size)
    return Given(found, told, np.argsort(-found.max(axis=1), kind="stable"), table)


def _columns(labels: Labels, given: Given, name: str, sure: str) -> dict[int, dict[str, str | float | None]]:
    """In the pool: each item's class and how sure it is."""
    best = given.probabilities.max(axis=1)
    return {key: {name: labels.classes[at], sure: round(p, 6)}
            for key, at, p in zip(labels.ids.tolist(), given.told.tolist(), best.tolist(), strict=True)}


def _named(items: Items) -> dict[str, list[str]]:
    """In the pool: the tags, and the values of each column of texts that has not too many."""
    ids = items.ids()
    values: dict[str, set[str]] = {TAGS: set(items.tags_of(ids))} if len(ids) else {}
    for columns in items.columns_of(ids) if len(ids) else ():
        for name, value in columns.items():
            if isinstance(value, str):
                values.setdefault(name, set()).add(value)
    return {name: sorted(found) for name, found in values.items() if 1 < len(found) <= MOST_CLASSES}


def _true(items: Items, ids: NDArray[np.int64], truth: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """``(n,)`` which class each item has by its tags or a column, -1 where none or several."""
    if not truth:
        return np.full(len(ids), -1)
    number = {name: at for at, name in enumerate(classes)}
    out = []
    for value in items.rows_of(ids, ["tags" if truth == TAGS else "columns"]).column(0).to_pylist():
        has = value or [] if truth == TAGS else [str((json.loads(value) if value else {}).get(truth, ""))]
        known = {number[name] for name in has if name in number}
        out.append(known.pop() if len(known) == 1 else -1)
    return np.array(out, np.int64)
