"""The map of a run's own vectors at each epoch, as a film."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QElapsedTimer, Qt, QTimer
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from mmstudio.desktop.plots.colouring import Colouring, by_number
from mmstudio.desktop.plots.moving import MovingPoints
from mmstudio.desktop.run_reader import RunReader
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.theme import MODALITY_COLOURS, THEME, category_colours, icon
from mmstudio.desktop.widgets.example_faces import ids_of, select_examples
from mmstudio.desktop.widgets.legend import Legend, Line
from mmstudio.training import film as films
from mmstudio.training.film import Film
from mmstudio.training.job import TrainingJob
from mmstudio.training.runs import Run

STEPS = 100
"""Of the slider from one frame to the next."""
TICK_MS = 33
WHOLE_MS, SHORTEST_MS, LONGEST_MS = 8000, 80, 700
"""How long a whole film plays, and the bounds of what one frame takes."""


class FilmPage(QWidget):
    """Plays what the run's vectors of its validation examples did; a run that learns adds its newest epoch."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.film: Film | None = None
        self._job = TrainingJob()
        self._names: list[str] = []
        self.points, self.legend = MovingPoints(self._name_of), Legend()
        self.play, self.slider, self.told = QToolButton(), QSlider(Qt.Orientation.Horizontal), QLabel()
        self._said, self._stack = QLabel(wordWrap=True), QStackedWidget()
        self._timer, self._clock = QTimer(self, interval=TICK_MS), QElapsedTimer()
        self._build()
        self._reader = RunReader(session, self, partial(partial, _read), self._show,
                                 lambda error: self._say(str(error)))
        self._connect()
        self.show_run(None)

    def _build(self) -> None:
        self.play.setToolTip(tr("Play or pause"))
        self.slider.setAccessibleName(tr("Epoch"))
        self._said.setTextFormat(Qt.TextFormat.PlainText)
        self._said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._said.setMargin(24)
        self.told.setProperty("faint", True)
        self.told.setToolTip(tr("The run's vectors of validation examples, or what it tells of them, along the two "
                                "main directions of the last epoch; each frame is turned onto the next."))
        bar, page = QHBoxLayout(), QWidget()
        bar.setContentsMargins(8, 4, 8, 4)
        bar.setSpacing(8)
        for widget, stretch in ((self.play, 0), (self.slider, 1), (self.told, 0)):
            bar.addWidget(widget, stretch)
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 8, 8)
        middle.addWidget(self.points, 1)
        middle.addWidget(self.legend, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addLayout(middle, 1)
        self._stack.addWidget(self._said)
        self._stack.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)

    def _connect(self) -> None:
        self.play.clicked.connect(lambda: self.stop() if self._timer.isActive() else self.start())
        self.slider.valueChanged.connect(self._go)
        self.slider.sliderPressed.connect(self.stop)
        self._timer.timeout.connect(self._tick)
        self.points.chosen.connect(lambda point: select_examples(
            self._session, [int(self.film.keys[point])] if self.film else []))
        self.legend.hiddenChanged.connect(lambda _: self._hide())
        self._session.selectionChanged.connect(self._mark)
        THEME.changed.connect(self._recolour)
        self._recolour()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._mark()

    # ---- what is shown ------------------------------------------------------------------------------------------

    def show_run(self, run: Run | None) -> None:
        """A run as it is now."""
        if self._reader.about(run) or run is None:
            self.stop()
            self.film = None
            self.points.show_film(None, np.zeros(0, np.int64))
            self._say(tr("Choose a run to watch what its vectors do from epoch to epoch.") if run is None else
                      tr("After its first epoch this run shows here what its vectors do."))

    def _say(self, sentence: str) -> None:
        self._said.setText(sentence)
        self._stack.setCurrentIndex(0)

    def _show(self, film: Film) -> None:
        run = self._reader.run
        if run is None:
            return
        before, self._job = self.film, run.job
        epoch = self._epoch() if before is not None else 0.0
        followed = before is None or self.slider.value() == self.slider.maximum()
        self.film = film.like(before)
        self._recolour()
        last = STEPS * (len(film.epochs) - 1)
        self.slider.setRange(0, last)
        self.slider.setPageStep(STEPS)
        here = round(STEPS * float(np.interp(epoch, film.epochs, np.arange(len(film.epochs)))))
        self.slider.setValue(here if before is not None else last)
        self._go(self.slider.value())
        if followed and before is not None and here < last:
            self._run_on()
        self._stack.setCurrentIndex(1)

    def _recolour(self) -> None:
        self.play.setIcon(icon("pause" if self._timer.isActive() else "play"))
        film = self.film
        if film is None:
            return
        colouring, palette = self._colouring(film)
        self._names = list(colouring.names)
        self.points.palette_ = palette
        self.points.show_film(film, colouring.codes)
        if colouring.scale is not None:
            self.legend.show_scale(colouring.scale, palette[:-1])
        else:
            numbers = np.bincount(colouring.codes, minlength=len(palette)).tolist()
            self.legend.show_lines([Line(name, "image", shade, number) for name, shade, number in zip(
                self._names, palette, numbers, strict=True)])
        self.legend.setFixedWidth(min(self.legend.sizeHint().width(), 220))
        self.legend.setFixedHeight(self.legend.sizeHint().height())
        self._hide()
        self._mark()

    def _colouring(self, film: Film) -> tuple[Colouring, list[QColor]]:
        """By modality where vectors are of one, else by what is to be told."""
        job = self._job
        if job.task == "alignment":
            names = tuple(modality_name(m) for m in job.modalities)
            return Colouring(film.modalities, names), [QColor(MODALITY_COLOURS[m]) for m in job.modalities]
        if job.task == "regression":
            made = by_number(film.targets.astype(float), job.target)
            return made, made.palette()
        codes, names = film.targets, job.classes
        if job.task == "multi-label":
            codes = np.where((film.targets > 0.5).any(1), film.targets.argmax(1), len(names))
            names = (*names, tr("none"))
        return Colouring(codes.astype(np.int64), names), category_colours(len(names))

    def _hide(self) -> None:
        hidden = [place for place, name in enumerate(self._names) if name in self.legend.hidden]
        self.points.hidden = np.isin(self.points.codes, hidden)
        self.points.update()

    def _mark(self) -> None:
        """Mark what is selected, as a whole or by an item of its own."""
        film, selection = self.film, self._session.selection
        if film is None or not self.isVisible():
            return
        marked: NDArray[np.bool_] = np.zeros(len(film.keys), bool)
        if len(selection):
            keys, place = np.unique(film.keys, return_inverse=True)
            pairs = [(owner, i) for owner, key in enumerate(keys.tolist()) for i in (key, *ids_of(self._session, key))]
            owners, ids = np.array(pairs, np.int64).T
            marked = np.isin(place, owners[np.isin(ids, selection.keys)])
        self.points.selected = marked
        self.points.update()

    def _name_of(self, point: int) -> str:
        film = self.film
        if film is None:
            return ""
        key, code = int(film.keys[point]), int(self.points.codes[point])
        sample = self._session.samples.get(-key)
        items = [self._session.items[i].title for i in ids_of(self._session, key)]
        lines = ([sample.name] if sample else []) + items
        if code < len(self._names):
            lines.append(self._names[code])
        return "\n".join(line[:120] for line in lines if line)

    # ---- playing ------------------------------------------------------------------------------------------------

    def _epoch(self) -> float:
        film = self.film
        assert film is not None
        return float(np.interp(self.slider.value() / STEPS, np.arange(len(film.epochs)), film.epochs))

    def _go(self, value: int) -> None:
        film = self.film
        if film is None:
            return
        self.points.go_to(value / STEPS)
        self.told.setText(tr("Epoch {} of {}").format(count(round(self._epoch())), count(int(film.epochs[-1]))))

    def start(self) -> None:
        """Play on, or from the beginning where the film has ended."""
        if self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        self._run_on()

    def _run_on(self) -> None:
        self._clock.start()
        self._timer.start()
        self.play.setIcon(icon("pause"))

    def stop(self) -> None:
        self._timer.stop()
        self.play.setIcon(icon("play"))

    def _tick(self) -> None:
        if self.film is None or not self.isVisible():
            self.slider.setValue(self.slider.maximum())
            self.stop()
            return
        a_frame = min(max(WHOLE_MS / max(1, len(self.film.epochs) - 1), SHORTEST_MS), LONGEST_MS)
        self.slider.setValue(self.slider.value() + max(1, round(STEPS * self._clock.restart() / a_frame)))
        if self.slider.value() == self.slider.maximum():
            self.stop()


def _read(run: Run, stamp: int) -> tuple[int, Film] | None:
    now = films.newest(run.folder)
    found = films.load(run.folder, run.job) if now != stamp else None
    return None if found is None else (now, found)
