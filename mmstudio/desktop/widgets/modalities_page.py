"""What each modality, and each set of them, is worth to a run, or to two runs line below line."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QLabel, QVBoxLayout, QWidget

from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.widgets.result_table import ResultsTable, Value, with_bounds
from mmstudio.training.evaluation import MEAN, TABLE_METRICS, ModalityRow, modality_rows
from mmstudio.training.job import Task
from mmstudio.training.runs import Run


class ModalitiesPage(QWidget):
    """A line for each modality by itself, their mean, and all that are seen together, with 95 % intervals."""

    def __init__(self) -> None:
        super().__init__()
        self.told = QLabel(wordWrap=True, margin=6)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self.table = ResultsTable(tr("Modalities"), sortable=False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.told)
        layout.addWidget(self.table, 1)

    def show_runs(self, task: Task, titles: dict[str, Run]) -> bool:
        """The lines of one run or two, by their titles; the same modalities of both are one below the other. False
        where there are none.
        """
        rows = {title: modality_rows(run.results, task) for title, run in titles.items()}
        order = list(dict.fromkeys((row.name, row.alone) for some in rows.values() for row in some))
        lines = [(title, row) for key in order for title, some in rows.items() for row in some
                 if (row.name, row.alone) == key]
        several = len(titles) > 1
        heads = [tr("Sees"), *([tr("Run")] if several else []), tr("Examples"),
                 *(_capital(tr(name)) for name in TABLE_METRICS[task])]
        self.table.show_lines(heads, [_line(row, title if several else "") for title, row in lines], ())
        self.told.setText(tr(
            "The run as it is, shown only some modalities; below, what each modality's own head tells. The mean over "
            "modalities is that of the lines of single ones: of accuracies the multimodal accuracy. In brackets are "
            "95 % intervals, all of the same resamples of the examples (bootstrap)."))
        return bool(lines)


def _line(row: ModalityRow, title: str) -> tuple[Value, ...]:
    name = tr("Mean over modalities") if row.name == MEAN else " + ".join(
        modality_name(one) if one in ("image", "audio", "text") else one for one in row.name.split(" + "))
    if row.alone:
        name = tr("{}, own heads").format(name) if row.name == MEAN else tr("{}, own head").format(name)
    return (name, *([title] if title else []), row.n, *map(with_bounds, row.values))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
