"""Groups of held-out examples on which a run errs more than elsewhere, as a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QLabel, QVBoxLayout, QWidget

from mmstudio.desktop.run_reader import RunReader, Stamp
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.example_faces import select_examples
from mmstudio.desktop.widgets.result_table import ResultsTable, bounds
from mmstudio.library import Items, Sample
from mmstudio.training.error_slices import ErrorSlice
from mmstudio.training.runs import Run


class SlicesPage(QWidget):
    """A line for each slice; choosing some selects their examples."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.slices: tuple[ErrorSlice, ...] = ()
        self.table, self.told = ResultsTable(tr("Slices")), QLabel(wordWrap=True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self.told.setMargin(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.told)
        layout.addWidget(self.table, 1)
        layout.addStretch(0)
        self.table.rowsChosen.connect(self._choose)
        self._reader = RunReader(session, self, self._reads, self._show, lambda error: self.told.setText(str(error)))

    def show_run(self, run: Run | None) -> None:
        """A finished run."""
        if self._reader.about(run):
            self.slices = ()
            self.table.hide()
            self.told.setText(tr("Looking for groups of examples on which the run errs more than elsewhere…"))

    def _reads(self, run: Run, stamp: Stamp) -> Callable[[], tuple[Stamp, tuple[ErrorSlice, ...]] | None]:
        return partial(_found, run, stamp, self._session.items.copy(), dict(self._session.samples))

    def _show(self, slices: tuple[ErrorSlice, ...]) -> None:
        self.slices = slices
        self.table.setVisible(bool(slices))
        self.told.setText(tr("Held-out examples that lie together and err more than the others (Fisher's exact test; "
                             "at most one in twenty of these groups is expected to be chance).") if slices else
                          tr("No group of examples errs more than the others by more than chance."))
        heads = [tr("Slice"), tr("Examples"), tr("Error rate"), tr("95 % interval"), tr("Elsewhere"), tr("Lift")]
        self.table.show_lines(heads, [
            (", ".join(one.words) or tr("(nothing in common that has a name)"), len(one.keys), one.rate.value,
             bounds(one.rate), one.rest, one.lift) for one in slices])

    def _choose(self, rows: list[int]) -> None:
        select_examples(self._session, [int(key) for row in rows for key in self.slices[row].keys])


def _found(run: Run, stamp: Stamp, items: Items, samples: dict[int, Sample],
           ) -> tuple[Stamp, tuple[ErrorSlice, ...]] | None:
    """Once: what a finished run told does not change."""
    if stamp:
        return None
    from mmstudio.training import error_slices, told
    from mmstudio.training.evaluating import evaluated
    from mmstudio.training.examples import Examples

    found = evaluated(told.load(run.folder), run.job)
    members = [samples[-key].item_ids if -key in samples else (key,) for key in found.keys.tolist()]
    words = [error_slices.words_of(items[i] for i in some if i in items) for some in members]
    return 1, error_slices.slices_of(found, Examples.load(run.folder / "examples"), words)
