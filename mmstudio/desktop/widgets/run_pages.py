"""What differs between runs beside how good they are, and what it takes to repeat one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.result_table import ResultsTable, with_bounds
from mmstudio.training.evaluation import Evaluation
from mmstudio.training.overview import differences
from mmstudio.training.runs import Run

TITLES = {"target": "Learns", "modalities": "Reads", "revision": "Model's revision", "dim": "Vector's dimension",
          "trains": "Trains", "width": "Hidden width", "layers": "Hidden layers", "lr": "Learning rate",
          "ema": "Averaged weights' decay", "clip": "Gradient's bound", "split.kind": "Parts",
          "split.column": "Parts' column", "split.validation": "Share of validation", "split.test": "Share of test",
          "split.keep_duplicates_together": "Keep duplicates together", "fingerprint": "Examples' fingerprint"}
"""Settings whose names do not say enough; the others are shown as they are called."""
FEW_DIGITS = 12
"""Of a fingerprint or commit."""


class DifferencesPage(QWidget):
    """A line for each setting in which the runs differ, then one for each metric; a column for each run."""

    def __init__(self) -> None:
        super().__init__()
        self.told = QLabel(wordWrap=True, margin=6)
        self.told.setProperty("faint", True)
        self.table = ResultsTable(tr("Differences"), sortable=False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        copy = QPushButton(tr("Copy"))
        copy.setToolTip(tr("Copy the table as text, its columns divided by tabs"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.as_text()))
        top = QHBoxLayout()
        top.setContentsMargins(0, 4, 8, 4)
        top.addWidget(self.told, 1)
        top.addWidget(copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)

    def show_runs(self, some: Sequence[Run], found: Mapping[str, Evaluation]) -> None:
        """Compare these runs; ``found`` are evaluations by folder, as far as they are made."""
        differ = [(title_of(one.name), *(_shown(one.name, value) for value in one.values)) for one in differences(some)]
        heads = [tr("Setting"), *(f"{run.number} · {run.name}"[:40].replace("\n", " ") for run in some)]
        lines = [*differ, *_metric_lines(some, found)]
        if (heads, lines) == (self.table.lines.heads, self.table.lines.lines):
            return
        self.told.setText(tr("{} settings differ.").format(count(len(differ))) if len(differ) > 1 else
                          tr("One setting differs.") if differ else tr("No setting differs."))
        self.table.show_lines(heads, lines, range(len(heads)))

    def as_text(self) -> str:
        """The table with its headings, divided by tabs and lines."""
        lines = [self.table.lines.heads, *self.table.lines.lines]
        return "\n".join("\t".join(map(str, line)) for line in lines)


def _metric_lines(some: Sequence[Run], found: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Which part was measured, and each metric with its 95 % interval."""
    each = [found.get(run.folder.name) for run in some]
    names = dict.fromkeys(name for one in each if one is not None for name in one.metrics)
    if not names:
        return []
    parts = {"test": tr("test part"), "validation": tr("validation part"), "train": tr("train part")}
    measured = tuple(tr("{} · {} examples").format(parts[one.part], count(len(one.keys))) if one else "–"
                     for one in each)
    return [(tr("Measured on"), *measured), *(
        (_capital(tr(name)), *(with_bounds(one.metrics[name]) if one and name in one.metrics else "–" for one in each))
        for name in names)]


class RepeatPage(QWidget):
    """Everything a run needs to be repeated, as text that can be copied; ``againWanted`` to train with its settings."""

    againWanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = QPlainTextEdit(readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName(tr("What it takes to repeat the run"))
        self.copy, self.again = QPushButton(tr("Copy")), QPushButton(tr("Train again with these settings…"))
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        self.again.clicked.connect(self.againWanted)
        row = QHBoxLayout()
        row.addWidget(self.again)
        row.addWidget(self.copy)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.addWidget(self.text, 1)
        layout.addLayout(row)
        self.show_run(None)

    def show_run(self, run: Run | None) -> None:
        text = tr("Choose a run to see what it takes to repeat it.") if run is None else repeat_text(run)
        self.copy.setEnabled(run is not None)
        self.again.setEnabled(run is not None and run.beside is None)
        if text != self.text.toPlainText():
            self.text.setPlainText(text)


def repeat_text(run: Run) -> str:
    """The command, the examples, the environments and the job."""
    made, job, beside = run.provenance, run.job, run.beside
    again = f"mmstudio train {shlex.quote(str(run.folder))} --again" if beside is None else tr(
        "Delete the baselines of run {} and ask for them anew.").format(int(beside.run))
    fitted = [] if beside is None else [(tr("Fitted"), f"{beside.model}. {beside.note}".strip()),
                                        (tr("With"), f"scikit-learn {beside.version}")]
    lines = [(tr("Repeat it"), again), *fitted,
             (tr("Made"), f"{datetime.fromtimestamp(made.created):%Y-%m-%d %H:%M:%S}"),
             (tr("Examples"), tr("{} · fingerprint {}").format(count(made.examples), made.fingerprint)),
             (tr("Left out"), made.left_out), (tr("Seed"), str(job.seed))]
    for here in made.environments:
        lines += [(tr("Trained on"), f"{here.device} · {here.platform}"),
                  (tr("With"), ", ".join(f"{name} {version}" for name, version in here.versions.items())),
                  (tr("Code"), here.commit)]
    if not made.environments and run.state.versions:
        lines += [(tr("With"), ", ".join(f"{name} {version}" for name, version in run.state.versions.items()))]
    wide = max(len(name) for name, _ in lines) + 2
    told = "\n".join(f"{name:<{wide}}{value}" for name, value in lines if value)
    return f"{told}\n\njob.json\n{job.to_json()}"


# ---- words ----------------------------------------------------------------------------------------------------------


def title_of(name: str) -> str:
    """A setting as a person reads it."""
    return tr(TITLES[name]) if name in TITLES else _capital(
        tr(name.removeprefix("versions.").replace("_", " ").replace(".", " ")))


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    text = "–" if value in (None, "") else str(value)
    return text[:FEW_DIGITS] if name in ("fingerprint", "commit") else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
