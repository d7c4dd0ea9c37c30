"""Weights between where a tuned encoder began and its best: a slider over what each share of the way is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import OKABE_ITO, THEME, colours
from mmstudio.desktop.widgets.result_plots import Drawing, Line, Plot
from mmstudio.training.job import TUNED
from mmstudio.training.runs import Run

STEPS = 10
PARTS = {"validation": "Validation", "held out": "Held out"}


def why_not(run: Run) -> str:
    """Why nothing lies between a finished run's start and its best; empty where something does."""
    if run.results.get("interpolation"):
        return ""
    if run.job.trains in TUNED:
        return tr("This run kept no weights of its start, or was not measured between. Train it again to get the "
                  "slider.")
    return {
        "head": tr("A head on vectors leaves the encoder as it was, and its own start knew nothing: there is nothing "
                   "in between. Train the model (LoRA, last blocks, the whole) to get the slider (WiSE-FT)."),
        "scratch": tr("Encoders from scratch begin with chance: nothing in between is worth something."),
    }.get(run.job.trains, tr("An adapter is a mixture of the zero-shot classifier and what it learned already."))


class BetweenPage(QWidget):
    """Metrics over the share of the best weights (WiSE-FT); ``shareChosen`` when a share shall be what the run tells
    with.
    """

    shareChosen = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._curve: list[dict[str, Any]] = []
        self._run: tuple[Path, float, float] | None = None
        self.which, self.slider, self.plot = QComboBox(), QSlider(Qt.Orientation.Horizontal), Plot()
        self.which.setAccessibleName(tr("Metric"))
        self.slider.setRange(0, STEPS)
        self.slider.setAccessibleName(tr("Share of the best weights"))
        self.told = QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.use = QPushButton(tr("Tell with this share"))
        self.use.setToolTip(tr("Predictions and the encoder that this run became use these weights from now on"))
        row = QHBoxLayout()
        for widget, stretch in ((self.which, 0), (self.slider, 1), (self.use, 0)):
            row.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.addLayout(row)
        layout.addWidget(self.told)
        layout.addWidget(self.plot, 1)
        self.which.currentIndexChanged.connect(lambda _: self._draw())
        self.slider.valueChanged.connect(lambda _: self._draw())
        self.use.clicked.connect(lambda: self.shareChosen.emit(self.slider.value() / STEPS))
        THEME.changed.connect(self._draw)

    def show_run(self, run: Run) -> None:
        """A run, at the share that it tells with, or why it has nothing in between."""
        this = run.folder, run.share, run.provenance.created  # a number is given again
        if self._run == this:
            return
        self._run = this
        why = why_not(run)
        for widget in (self.which, self.slider, self.use, self.plot):
            widget.setVisible(not why)
        self._curve = [] if why else run.results["interpolation"]
        if why:
            self.told.setText(why)
            return
        names = [name for name in self._curve[0]["held out"] if name in self._curve[0]["validation"]]
        if names != [self.which.itemData(row) for row in range(self.which.count())]:
            self.which.clear()
            for name in names:
                self.which.addItem(tr(name), name)
        self.slider.setValue(round(run.share * STEPS))
        self._draw()

    def _draw(self) -> None:
        name = self.which.currentData()
        if not self._curve or name is None:
            return
        at = self.slider.value() / STEPS
        shares = np.array([one["share"] for one in self._curve])
        values = {part: np.array([one[part].get(name, np.nan) for one in self._curve], float) for part in PARTS}
        everything = np.concatenate(list(values.values()))
        low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
        spread = (high - low) or 1.0
        lines = tuple(Line(shares, (one - low) / spread, shade, name=tr(PARTS[part]))
                      for (part, one), shade in zip(values.items(), OKABE_ITO, strict=False))
        here = Line(np.array([at, at]), np.array([0.0, 1.0]), colours().dim, 1, dashed=True)
        self.plot.show_drawing(Drawing(tr("{}: {:.4g} below, {:.4g} above").format(tr(name), low, high),
                                       tr("share of the best weights"), tr(name), (here, *lines)))
        place = int(np.abs(shares - at).argmin())
        told = ", ".join(f"{tr(PARTS[part])} {one[place]:.4g}" for part, one in values.items())
        self.told.setText(tr("{:.0%} of the way from the start to the best: {} ({}). A share in between often holds up "
                             "better on what is unlike the examples.").format(at, told, tr(name)))
