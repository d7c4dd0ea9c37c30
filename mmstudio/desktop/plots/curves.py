"""Live curves of training runs: the loss, and a quantity of the person's choice beside it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QPointF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QStackedWidget,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.plots.curve_plot import CurvePlot, Drawn, How, Span
from mmstudio.desktop.plots.curve_runs import AXES, LOSS, RATE, VALIDATION_LOSS, Curve, RunLines
from mmstudio.desktop.text import MODALITY_NAMES, modality_name, tr
from mmstudio.desktop.theme import OKABE_ITO, THEME, colours
from mmstudio.desktop.widgets.empty import EmptyState

MOST_RUNS = 10
_AT_ONCE = 2000
"""Lines that are taken in before the window breathes: some 15 ms."""
_ROW = 19
"""Pixels of one run in the legend."""


TOGETHER = {"weights": "Fusion weights", "memory": "Peak memory, GB"}
"""Groups whose members are drawn in one plot, each in its own colour."""


def run_colour(slot: int) -> QColor:
    """Okabe-Ito, then violet and the colour of text; what is too pale for a light theme is darkened."""
    colour = QColor((*OKABE_ITO, "#9467BD", colours().text)[slot % MOST_RUNS])
    return colour.darker(130) if not colours().dark and colour.lightnessF() < 0.9 and _pale(colour) else colour


def _pale(colour: QColor) -> bool:
    return 0.299 * colour.redF() + 0.587 * colour.greenF() + 0.114 * colour.blueF() > 0.75


def quantity_title(name: str) -> str:
    """How a person calls a quantity."""
    group, _, member = name.partition("/")
    if not member:
        if name in TOGETHER:
            return tr(TOGETHER[name])
        return {"loss": tr("Loss"), "lr": tr("Learning rate"), "norm": tr("Gradient norm"),
                "temperature": tr("Temperature"), RATE: tr("Steps per second")}[name]
    if group == "validation":
        return tr("{} (validation)").format(member[:1].upper() + member[1:])
    return {"alone": tr("Loss: {}"), "balance": tr("Balance: {}")}[group].format(member_title(member))


def member_title(member: str) -> str:
    """“Pictures - Texts”, or what of a computer has memory."""
    return " - ".join(modality_name(part) if part in MODALITY_NAMES else tr(part) for part in member.split(" - "))


def _offered(name: str) -> str:
    """What is chosen to see a quantity: itself, or the group that is drawn together."""
    group = name.partition("/")[0]
    return group if group in TOGETHER else name


def _rank(name: str) -> tuple[int, int]:
    """Where a quantity stands in the combo, what is asked for most first; what is alike stays in the order in which it
    came.
    """
    group, _, member = name.partition("/")
    first = ("accuracy", "macro F1", "micro F1", "R²", "MAE", "recall at 1", "recall at 5")
    groups = ("validation", "lr", "norm", "weights", "alone", "balance", "temperature", "memory", RATE, "loss")
    return (groups.index(group),
            first.index(member) if member in first else len(first))


class RunsLegend(QWidget):
    """Runs with their colours: a click hides one, a double-click shows it alone."""

    hiddenChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.hidden: frozenset[str] = frozenset()
        self._runs: list[tuple[str, str, QColor]] = []
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(tr("Runs"))

    def show_runs(self, runs: list[tuple[str, str, QColor]]) -> None:
        """``(key, title, colour)`` each."""
        self._runs = runs
        self.hidden &= {key for key, _, _ in runs}
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        widest = max((self.fontMetrics().horizontalAdvance(title) for _, title, _ in self._runs), default=0)
        return QSize(min(widest + 38, 200), _ROW * len(self._runs) + 8)

    def run_at(self, y: float) -> str | None:
        row = int((y - 4) // self._row)
        return self._runs[row][0] if 0 <= row < len(self._runs) else None

    @property
    def _row(self) -> float:
        return min(float(_ROW), (self.height() - 8) / max(1, len(self._runs)))

    def paintEvent(self, event: QPaintEvent) -> None:
        metrics = self.fontMetrics()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for number, (key, title, colour) in enumerate(self._runs):
                y = 4 + (number + 0.5) * self._row
                hidden = key in self.hidden
                painter.setPen(QPen(QColor(colours().dim) if hidden else colour, 3))
                painter.drawLine(QPointF(6, y), QPointF(20, y))
                painter.setPen(QColor(colours().dim if hidden else colours().text))
                painter.drawText(QPointF(28, y + metrics.ascent() / 2 - 1),
                                 metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, self.width() - 32))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        key = self.run_at(event.position().y())
        if key is not None:
            self._hide(self.hidden ^ {key})

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        key = self.run_at(event.position().y())
        if key is not None:
            others = frozenset(one for one, _, _ in self._runs) - {key}
            self._hide(frozenset() if self.hidden >= others else others)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            key = self.run_at(event.pos().y())
            title = next((title for one, title, _ in self._runs if one == key), "")
            words = f"{title}\n{tr('Click hides, double-click shows alone')}"
            QToolTip.showText(event.globalPos(), words.replace("<", "\u2039") if title else "", self)
            return True
        return super().event(event)

    def _hide(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden
        self.update()
        self.hiddenChanged.emit()


class CurvesView(QWidget):
    """Up to ten runs, one over the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles: dict[str, str] = {}
        self._runs: dict[str, RunLines] = {}
        self._slots: dict[str, int] = {}
        self._made: dict[tuple[str, str, str], Curve] = {}
        self._waiting: list[tuple[str, list[dict[str, Any]]]] = []
        self._wanted = ""
        self._names: list[str] = []
        self.span, self.how = Span(), How()
        self.loss, self.chosen = CurvePlot(self.span, self.how), CurvePlot(self.span, self.how)
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._take_in)
        self._build()
        THEME.changed.connect(self._arrange)
        self._arrange()

    # ---- what is shown ------------------------------------------------------------------------------------------

    def show_runs(self, runs: list[tuple[str, str]]) -> None:
        """Show these ``(key, title)``, at most ten; what is known of those that stay is kept, the rest forgotten."""
        self._titles = dict(runs[:MOST_RUNS])
        self._runs = {key: self._runs.get(key) or RunLines() for key in self._titles}
        self._slots = {key: slot for key, slot in self._slots.items() if key in self._titles}
        for key in self._titles:
            if key not in self._slots:
                self._slots[key] = next(slot for slot in range(MOST_RUNS) if slot not in self._slots.values())
        self._made = {name: curve for name, curve in self._made.items() if name[1] in self._titles}
        self._waiting = [(key, lines) for key, lines in self._waiting if key in self._titles]
        self._arrange()

    def add(self, key: str, lines: list[dict[str, Any]]) -> None:
        """Take in more lines of a run's ``metrics.jsonl``; of many, the rest as the window finds time."""
        if key in self._titles and lines:
            self._waiting.append((key, lines))
            if not self._later.isActive():
                self._take_in()

    def clear(self, key: str) -> None:
        """Forget what a run told: it began anew."""
        self._waiting = [(one, lines) for one, lines in self._waiting if one != key]
        if key in self._runs:
            self._runs[key].clear()
            self._arrange()

    def colour_of(self, key: str) -> QColor:
        return run_colour(self._slots[key])

    @property
    def following(self) -> bool:
        """Whether all stays fitted as more comes."""
        return self.span.following

    def fit(self) -> None:
        """Show all, and follow what comes."""
        self.span.following = True
        self.loss.fit()
        self.chosen.fit()
        self._renew()

    def _take_in(self) -> None:
        room = _AT_ONCE
        while self._waiting and room > 0:
            key, lines = self._waiting.pop(0)
            self._runs[key].add(lines[:room])
            if len(lines) > room:
                self._waiting.insert(0, (key, lines[room:]))
            room -= len(lines)
        if self._waiting:
            self._later.start()
        self._arrange()

    # ---- parts --------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.legend = RunsLegend()
        self.legend.hiddenChanged.connect(self._arrange)
        plots = QHBoxLayout()
        plots.setSpacing(4)
        for plot in (self.loss, self.chosen):
            plot.zoomed.connect(self._zoomed)
            plot.fitWanted.connect(self.fit)
            plot.hovered.connect(self._hover)
            plots.addWidget(plot, 1)
        plots.addWidget(self.legend)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(self._bar())
        layout.addLayout(plots, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(tr("The curves of training runs are drawn here while they learn: their loss, "
                                            "and any other measure beside it. Start a run, or choose one.")))
        self._stack.addWidget(page)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._stack)

    def _bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setSpacing(8)
        self.axis = QComboBox(toolTip=tr("What the curves are drawn over"))
        for axis, text in zip(AXES, (tr("Steps"), tr("Epochs"), tr("Seconds")), strict=True):
            self.axis.addItem(text, axis)
        self.axis.setAccessibleName(tr("Axis"))
        self.axis.currentIndexChanged.connect(self._redrawn_otherwise)
        self.log = QCheckBox(tr("Log scale"))
        self.log.toggled.connect(self._redrawn_otherwise)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 100)
        self.smoothing.setFixedWidth(90)
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.valueChanged.connect(self._smoothed)
        self._smoothing_told = QLabel()
        self._smoothing_told.setProperty("faint", True)
        self._smoothing_told.setMinimumWidth(self.fontMetrics().horizontalAdvance(tr("Smoothing {}").format("0.999")))
        self.follow = QCheckBox(tr("Follow"), checked=True)
        self.follow.setToolTip(tr("Keep all in view as more comes. A double-click on a plot does so, too."))
        self.follow.clicked.connect(self._follow)
        self.quantity = QComboBox(toolTip=tr("What the right plot shows"))
        self.quantity.setAccessibleName(tr("Quantity"))
        self.quantity.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.quantity.setMinimumContentsLength(18)
        self.quantity.activated.connect(self._choose)
        for widget in (self.axis, self.log, self._smoothing_told, self.smoothing, self.follow):
            bar.addWidget(widget)
        bar.addStretch(1)
        bar.addWidget(self.quantity)
        self.smoothing.setValue(33)
        return bar

    # ---- what the person does -----------------------------------------------------------------------------------

    def _choose(self) -> None:
        self._wanted = self.quantity.currentData()
        self._arrange()

    def _redrawn_otherwise(self) -> None:
        self.how.axis, self.how.log = self.axis.currentData(), self.log.isChecked()
        self.loss.fit()
        self.chosen.fit()
        self.span.following = True
        self._renew()

    def _smoothed(self, value: int) -> None:
        """Each third of the way averages over ten times as many points."""
        self.how.smoothing = 1 - 10 ** (-3 * value / 100)
        self._smoothing_told.setText(tr("Smoothing {}").format(f"{self.how.smoothing:.3g}"))
        self._renew()

    def _follow(self, wanted: bool) -> None:
        self.span.following = wanted
        if wanted:
            self.fit()

    def _zoomed(self) -> None:
        self.follow.setChecked(False)
        self.loss.redraw()
        self.chosen.redraw()

    def _hover(self, place: float | None) -> None:
        self.loss.show_hover(place)
        self.chosen.show_hover(place)

    # ---- arranging ----------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Put runs and quantities where they belong, and draw."""
        told = list(dict.fromkeys(name for run in self._runs.values() for name in run.names))
        self._stack.setCurrentIndex(1 if told else 0)
        offered = dict.fromkeys(_offered(name) for name in told if name != LOSS)
        self._fill_quantities(sorted(offered, key=_rank))
        self.legend.show_runs([(key, title, self.colour_of(key)) for key, title in self._titles.items()])
        self._make_room()
        chosen = self._shown_quantity()
        self.loss.show_curves(tr("Loss"), self._drawn("left", [LOSS, VALIDATION_LOSS]))
        self.chosen.show_curves(quantity_title(chosen) if chosen else "", self._together(
            chosen, [name for name in told if _offered(name) == chosen]) if chosen in TOGETHER else
            self._drawn("right", [chosen]))
        self._renew()

    def _fill_quantities(self, names: list[str]) -> None:
        if names != self._names:
            self._names = names
            self.quantity.clear()
            for name in names:
                self.quantity.addItem(quantity_title(name), name)
        self.quantity.setCurrentIndex(names.index(shown) if (shown := self._shown_quantity()) in names else -1)

    def _shown_quantity(self) -> str:
        """What the person chose, else the first measure of a validation beside the loss, else the first of all."""
        if self._wanted in self._names:
            return self._wanted
        return next((name for name in self._names if name.startswith("validation/") and name != VALIDATION_LOSS),
                    next((name for name in self._names if name != VALIDATION_LOSS), ""))

    def _drawn(self, side: str, names: list[str]) -> list[Drawn]:
        """Runs that are not hidden, with those of the quantities that they told."""
        found = []
        for key, title in self._titles.items():
            curves = [self._curve(side, key, name) for name in names if len(self._runs[key].rows(name))]
            if curves and key not in self.legend.hidden:
                found.append(Drawn(key, title, self.colour_of(key), curves))
        return found

    def _together(self, group: str, names: list[str]) -> list[Drawn]:
        """The members of a group, in colours of their own; of several runs each run's lie one over the other."""
        found, runs = [], self._drawn("right", names)
        for run in runs:
            for curve in run.curves:
                member = member_title(curve.name.removeprefix(f"{group}/"))
                found.append(Drawn(run.key, f"{member} · {run.title}" if len(runs) > 1 else member,
                                   run_colour(1 + names.index(curve.name)), [curve], member))
        return found

    def _curve(self, side: str, key: str, name: str) -> Curve:
        """Kept as long as its run is shown and no other quantity takes its side."""
        if (side, key, name) not in self._made:
            if side == "right":
                self._made = {kept: curve for kept, curve in self._made.items()
                              if kept[:2] != (side, key) or _offered(kept[2]) == _offered(name)}
            self._made[side, key, name] = Curve(self._runs[key], name)
        return self._made[side, key, name]

    def _renew(self) -> None:
        """Take in what came, fit while following, draw."""
        for plot in (self.loss, self.chosen):
            plot.nothing = tr("The first epoch is not over yet.") if self.how.axis == "epoch" else ""
            plot.renew()
        self.follow.setChecked(self.span.following)
        ends = [extent for plot in (self.loss, self.chosen) if (extent := plot.extent()) is not None]
        if self.span.following and ends:
            low, high = min(end[0] for end in ends), max(end[1] for end in ends)
            spare = 0.0 if high > low else max(0.5, abs(high) * 0.01)
            self.span.low, self.span.high = low - spare, high + spare

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._make_room()

    def _make_room(self) -> None:
        """The legend takes a fifth at most."""
        self.legend.setFixedWidth(min(self.legend.sizeHint().width(), self.width() // 5) or 1)
