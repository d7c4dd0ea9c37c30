"""A histogram that is brushed: drag over numbers, click categories; the keyboard does the same."""

from __future__ import annotations

import html
from itertools import groupby

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolTip, QWidget

from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import colours
from mmstudio.library.histogram import Histogram

HEIGHT, LINE, SCALE = 92, 18, 16
"""Pixels: of a histogram of numbers, of one category, of the scale under the numbers."""
_LEAST = 2
"""Pixels of a bar that holds anything."""
_SHOWN = 60
"""Characters of a value."""


class HistogramView(QWidget):
    """Draws one histogram and its brush; what the brush does is for the panel to say."""

    brushed = Signal(object, bool)
    """The bars of the new brush, a frozenset, maybe empty; and whether it adds to what was asked for before."""
    selectWanted = Signal(object)
    """The bars whose items to select."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self.histogram: Histogram | None = None
        self.brush: frozenset[int] = frozenset()
        self._cursor, self._anchor = 0, 0
        self._hovered: int | None = None
        self._drags: bool | None = None
        """Whether the pressed mouse has left the bar it was pressed on; None while it is not pressed."""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Histogram: {}").format(title))

    def show_histogram(self, found: Histogram) -> None:
        """Draw other counts."""
        before, self.histogram = self.histogram, found
        self._cursor = min(self._cursor, max(0, len(found) - 1))
        if before is None or len(before) != len(found) or (before.bins is None) != (found.bins is None):
            self.updateGeometry()
        self.update()

    def show_brush(self, bars: frozenset[int]) -> None:
        self.brush = bars
        self.update()

    # ---- geometry ---------------------------------------------------------------------------------------------

    @property
    def _lines(self) -> bool:
        """Categories are lines, numbers columns."""
        return self.histogram is not None and self.histogram.bins is None

    def sizeHint(self) -> QSize:
        if self.histogram is None or not len(self.histogram):
            return QSize(240, LINE)
        return QSize(240, LINE * len(self.histogram) if self._lines else HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def _box(self, bar: int) -> QRectF:
        """The place of a bar at its fullest, and where it is clicked."""
        if self._lines:
            return QRectF(0, LINE * bar, self.width(), LINE)
        wide = self.width() / max(1, len(self.histogram or ()))
        return QRectF(wide * bar, 0, wide, self.height() - SCALE)

    def bar_at(self, place: QPoint) -> int | None:
        """The bar under a point; of numbers the nearest one, so that a drag may leave the widget."""
        bars = len(self.histogram or ())
        if not bars:
            return None
        at = place.y() // LINE if self._lines else place.x() * bars // max(1, self.width())
        return max(0, min(int(at), bars - 1))

    def centre_of(self, bar: int) -> QPoint:
        """A point in a bar."""
        return self._box(bar).center().toPoint()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        found = self.histogram
        if found is None:
            return
        with QPainter(self) as painter:
            if not len(found):
                painter.setPen(QColor(colours().faint))
                painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter), tr("No item has a value."))
                return
            most = max(1, int(found.every.max()))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_brush(painter)
            for bar in range(len(found)):
                self._draw_bar(painter, found, bar, most)
            if not self._lines:
                self._draw_scale(painter, found)
            if self.hasFocus():
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor(colours().accent), 1, Qt.PenStyle.DotLine))
                painter.drawRect(self._box(self._cursor).adjusted(0.5, 0.5, -0.5, -0.5))

    def _draw_brush(self, painter: QPainter) -> None:
        """A band behind each run of brushed bars."""
        back = QColor(colours().accent)
        back.setAlpha(45)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(back)
        for _, run in groupby(enumerate(sorted(self.brush)), lambda pair: pair[1] - pair[0]):
            bars = [bar for _, bar in run]
            painter.drawRect(self._box(bars[0]).united(self._box(bars[-1])))

    def _draw_bar(self, painter: QPainter, found: Histogram, bar: int, most: int) -> None:
        c = colours()
        full = self._box(bar)
        if self._lines:
            full = QRectF(full.left() + self._label_width(), full.top() + 3, self._room(found), LINE - 6)
            self._draw_words(painter, found, bar, full)
        else:
            full = full.adjusted(0.5, 4, -0.5, 0)
        painter.setPen(Qt.PenStyle.NoPen)
        for counts, colour in ((found.every, c.dim), (found.passing, c.faint), (found.selected, c.accent)):
            if counts[bar]:
                painter.setBrush(QColor(colour))
                painter.drawRect(self._part(full, int(counts[bar]) / most))

    def _part(self, full: QRectF, share: float) -> QRectF:
        if self._lines:
            return QRectF(full.left(), full.top(), max(_LEAST, full.width() * share), full.height())
        high = max(_LEAST, full.height() * share)
        return QRectF(full.left(), full.bottom() - high, full.width(), high)

    def _label_width(self) -> float:
        return min(130.0, self.width() * 0.4)

    def _room(self, found: Histogram) -> float:
        """The width of the longest bar: what names and numbers leave."""
        numbers = QFontMetricsF(self.font()).horizontalAdvance(count(int(found.every.max())))
        return max(8.0, self.width() - self._label_width() - numbers - 14)

    def _draw_words(self, painter: QPainter, found: Histogram, bar: int, full: QRectF) -> None:
        c, line = colours(), self._box(bar)
        middle = Qt.AlignmentFlag.AlignVCenter
        is_value = bar < len(found.values)
        painter.setPen(QColor(c.text if is_value else c.faint))
        name = painter.fontMetrics().elidedText(self._name(bar), Qt.TextElideMode.ElideRight,
                                                int(self._label_width()) - 10)
        painter.drawText(line.adjusted(4, 0, 0, 0), int(middle), name)
        painter.setPen(QColor(c.faint))
        painter.drawText(line.adjusted(0, 0, -4, 0), int(middle | Qt.AlignmentFlag.AlignRight),
                         count(int(found.passing[bar])))

    def _draw_scale(self, painter: QPainter, found: Histogram) -> None:
        """Words under the left edges of as many bars as there is room for."""
        if found.bins is None:
            return
        words = [_scale_word(word, found.kind == "date") for word in found.bins.first]
        metrics = QFontMetricsF(self.font())
        widest = max(metrics.horizontalAdvance(word) for word in words) + 16
        step = max(1, -(-int(widest) * len(words) // max(1, self.width())))
        painter.setPen(QColor(colours().faint))
        for bar in range(0, len(words), step):
            left = self._box(bar).left()
            if bar == 0 or left + metrics.horizontalAdvance(words[bar]) <= self.width():
                painter.drawText(QRectF(left, self.height() - SCALE, widest, SCALE),
                                 int(Qt.AlignmentFlag.AlignVCenter), words[bar])

    # ---- words ------------------------------------------------------------------------------------------------

    def _name(self, bar: int) -> str:
        """What a bar stands for."""
        found = self.histogram
        if found is None or bar >= len(found):
            return ""
        if found.bins is None:
            if bar < len(found.values):
                return found.values[bar][:_SHOWN].replace("\n", " ")
            return tr("{} others").format(count(found.others))
        first, last = found.bins.first[bar], found.bins.last[bar]
        if found.bins.closed:
            return _tidy(first) if first == last else f"{_tidy(first)} – {_tidy(last)}"
        return tr("{} to less than {}").format(_tidy(first), _tidy(last))

    def told(self, bar: int) -> str:
        """“Value: n of m (k selected)”."""
        found = self.histogram
        if found is None or bar >= len(found):
            return ""
        text = tr("{}: {} of {}").format(self._name(bar), count(int(found.passing[bar])), count(int(found.every[bar])))
        chosen = int(found.selected[bar])
        return text + (" " + tr("({} selected)").format(count(chosen)) if chosen else "")

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            bar = self.bar_at(event.pos())
            QToolTip.showText(event.globalPos(), _plain(self.told(bar)) if bar is not None else "", self)
            return True
        escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if event.type() == QEvent.Type.ShortcutOverride and escape and self.brush:
            event.accept()  # Esc is for the brush, where there is one
            return True
        return super().event(event)

    # ---- brushing ---------------------------------------------------------------------------------------------

    def _can_brush(self, bar: int) -> bool:
        """The bar of all other values is no value."""
        found = self.histogram
        return found is not None and bar < (len(found.values) if found.bins is None else len(found))

    def _set_brush(self, bars: frozenset[int], adds: bool = False) -> None:
        bars = frozenset(filter(self._can_brush, bars))
        if bars != self.brush:
            self.brush = bars
            self.update()
            self.brushed.emit(bars, adds)

    def _toggle(self, bar: int, modifiers: Qt.KeyboardModifier) -> None:
        """A click: this bar alone, or no longer; with Ctrl it joins or leaves the others, with Shift all up to it."""
        if not self._can_brush(bar):
            return
        alone = frozenset([bar])
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            self._set_brush(_between(self._anchor, bar), adds=True)
            return
        self._anchor = bar
        if modifiers & Qt.KeyboardModifier.ControlModifier and self._lines:
            self._set_brush(self.brush ^ alone, adds=True)
        elif self._lines:
            self._set_brush(self.brush - alone if bar in self.brush else alone, adds=bar in self.brush)
        else:
            self._set_brush(frozenset() if self.brush == alone else alone)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        bar = self.bar_at(event.position().toPoint())
        if event.button() != Qt.MouseButton.LeftButton or bar is None:
            return
        self._drags, self._cursor = False, bar
        if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._anchor = bar
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        bar = self.bar_at(event.position().toPoint())
        if self._drags is not None and bar is not None and (self._drags or bar != self._cursor):
            self._drags, self._cursor = True, bar
            self._set_brush(_between(self._anchor, bar))
        elif self._drags is None and bar != self._hovered:
            self._hovered = bar
            QToolTip.showText(event.globalPosition().toPoint(), _plain(self.told(bar)) if bar is not None else "", self)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        drags, self._drags = self._drags, None
        if drags is False:
            self._toggle(self._cursor, event.modifiers())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._set_brush(frozenset())

    def leaveEvent(self, event: QEvent) -> None:
        self._hovered = None

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        bar = self.bar_at(event.pos()) if event.reason() == QContextMenuEvent.Reason.Mouse else self._cursor
        if bar is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill_menu(menu, bar)
        menu.popup(event.globalPos())

    def fill_menu(self, menu: QMenu, bar: int) -> None:
        """What can be done with a bar."""
        menu.addAction(tr("Select these"), lambda: self._select(bar))
        clear = menu.addAction(tr("Clear the brush"), lambda: self._set_brush(frozenset()))
        clear.setEnabled(bool(self.brush))

    def _select(self, bar: int) -> None:
        """The brushed bars, where this is one of them, else this one."""
        self.selectWanted.emit(self.brush if bar in self.brush else frozenset([bar]))

    # ---- keys -------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, bars = Qt.Key(event.key()), len(self.histogram or ())
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1,
                 Qt.Key.Key_Home: -bars, Qt.Key.Key_End: bars}
        if key in steps and bars:
            self._move(steps[key], bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif key == Qt.Key.Key_Space and bars:
            self._toggle(self._cursor, event.modifiers())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and bars:
            self.selectWanted.emit(self.brush or frozenset([self._cursor]))
        elif key == Qt.Key.Key_Escape and self.brush:
            self._set_brush(frozenset())
        else:
            super().keyPressEvent(event)

    def _move(self, by: int, brushing: bool) -> None:
        self._cursor = max(0, min(self._cursor + by, len(self.histogram or ()) - 1))
        if brushing:
            self._set_brush(_between(self._anchor, self._cursor))
        else:
            self._anchor = self._cursor
        self.setAccessibleDescription(self.told(self._cursor))
        box = self._box(self._cursor)
        place = self.mapToGlobal(box.bottomLeft().toPoint() if self._lines else box.topLeft().toPoint())
        QToolTip.showText(place, _plain(self.told(self._cursor)), self)
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.setAccessibleDescription(self.told(self._cursor))


def _between(one: int, other: int) -> frozenset[int]:
    return frozenset(range(min(one, other), max(one, other) + 1))


def _tidy(word: str) -> str:
    """A number with separators; a moment with a space."""
    if word.lstrip("-").isdigit() and len(word.lstrip("-")) > 4:
        return count(int(word))
    return word.replace("T", " ")


def _scale_word(word: str, is_date: bool) -> str:
    """Shorter: “1000000” as “1M”, of a moment that has hours only these."""
    if is_date:
        _, is_moment, hour = word.partition("T")
        return (hour if ":" in hour else f"{hour}:00") if is_moment else word
    if word.lstrip("-").isdigit():
        number = int(word)
        for size, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
            if abs(number) >= size and number % (size // 10) == 0:
                return f"{number / size:g}{sign}"
    return word


def _plain(text: str) -> str:
    """A tooltip that shows a text from a file as it is, and never as rich text."""
    return f"<p style='white-space:pre'>{html.escape(text)}</p>" if text else ""
