"""The retrieval report: how well each modality finds what belongs to it in each other one."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.sample_rows import SampleRows
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning, aside_if_many
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.plain_table import plain_table
from mmstudio.explore.aside import Aside
from mmstudio.explore.retrieval import KS, Direction, Estimate, report
from mmstudio.library import Sample, VectorView
from mmstudio.progress import Work

NOTE = ("Each item asks for what is in its sample, among all items of the other modality. In brackets: the 95 % "
        "interval, by drawing samples 1,000 times; then what chance gives. A rank of 1 is best.")
MOST_SAMPLES = 2000


class RetrievalPage(QWidget):
    """A table with a row for each direction."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self.progress = session, Reckoning(session)
        self.reckon_button = QPushButton(tr("Reckon"))
        self.told = QLabel(wordWrap=True)
        self.told.setProperty("faint", True)
        self.table = plain_table([
            tr("Asked with → found"), tr("Questions"), *(tr("Recall@{}").format(k) for k in KS),
            tr("Mean reciprocal rank"), tr("Median rank")], tr("Retrieval report"))
        top = QHBoxLayout()
        top.addWidget(self.reckon_button)
        top.addWidget(self.told, 1)
        self.progress.setFixedWidth(280)
        top.addWidget(self.progress)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        self.reckon_button.clicked.connect(self.reckon)
        self.progress.stop_button.clicked.connect(self._clear)
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)
        self._clear()

    def _clear(self) -> None:
        self.table.setRowCount(0)
        self.told.setText(tr("How well the model finds the picture, text or sound that belongs to another, in all six "
                             "directions. It needs samples: items that were grouped (Ctrl+G) or came with a caption."))

    def reckon(self) -> None:
        """Reckon the report beside the window."""
        view, samples = self._session.view, list(self._session.samples.values())
        if view is None or not samples:
            self.told.setText(tr("There are no samples with vectors yet. Group what belongs together (Ctrl+G)."))
            return
        self.told.clear()
        self.progress.start(partial(_reckoned, self._session.aside, view, samples), self._show)

    def _show(self, outcome: tuple[list[Direction], int, int]) -> None:
        found, taken, known = outcome
        told = tr(NOTE) if found else tr("No sample holds items of two modalities that the model reads.")
        if taken < known:
            told += tr(" Asked with {} of {} samples, drawn at random.").format(count(taken), count(known))
        self.told.setText(told)
        self.table.setRowCount(len(found))
        for row, direction in enumerate(found):
            cells = [f"{modality_name(direction.asked_with)} → {modality_name(direction.found)}",
                     tr("{} in {}").format(count(direction.questions), count(direction.candidates)),
                     *(_share(direction.recall[k]) for k in KS), _share(direction.mrr), _rank(direction.median_rank)]
            for column, text in enumerate(cells):
                cell = QTableWidgetItem(text)
                cell.setTextAlignment(Qt.AlignmentFlag.AlignVCenter | (
                    Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft))
                self.table.setItem(row, column, cell)


def _share(found: Estimate) -> str:
    return tr("{:.3f} [{:.3f}–{:.3f}]  chance {:.3f}").format(found.value, found.low, found.high, found.chance)


def _rank(found: Estimate) -> str:
    return tr("{:g} [{:g}–{:g}]  chance {:g}").format(found.value, found.low, found.high, found.chance)


def _reckoned(aside: Aside, view: VectorView, samples: list[Sample]) -> Work[tuple[list[Direction], int, int]]:
    """The report, of how many samples, and how many there are: each question looks at all items."""
    known = SampleRows.of(view, samples)
    some = known.drawn(MOST_SAMPLES).lists()
    found = yield from aside_if_many(aside, len(view), report, view.vectors, view.modalities, some)
    return found, len(some), len(known)
