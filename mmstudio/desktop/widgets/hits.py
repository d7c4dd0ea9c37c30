"""Found items per modality, as rows of small pictures with their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.theme import colours
from mmstudio.explore.similarity import Measure
from mmstudio.media import MODALITIES, Modality
from mmstudio.searching import Found

FAINT = 0.55
"""How much is seen of a hit that chance explains."""


class HitRow(QWidget):
    """Hits, wrapped into as many lines as they need; what is beyond the line is faint. Arrows move, Enter opens."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, side: int, lines: int,
                 reason: Callable[[int], str] | None = None) -> None:
        super().__init__()
        self._session, self._previews, self._side, self._lines = session, previews, side, lines
        self._reason = reason
        self._hits: list[Found] = []
        self._close: int | None = None
        self._by_chance = False
        self._at: int = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        previews.arrived.connect(lambda _: self.update())

    def show_hits(self, hits: list[Found], close: int | None = None, by_chance: bool = False) -> None:
        """The first ``close`` of them are matches, where that is known; ``by_chance`` tells how far above chance each
        is instead of its score.
        """
        self._hits, self._close, self._by_chance, self._at = hits, close, by_chance, -1
        self._fit_height()
        self.update()

    def _columns(self) -> int:
        return max(1, self.width() // (self._cell().width()))

    def _cell(self) -> QSize:
        return QSize(self._side + 8, self._side + 24)

    def _shown(self) -> int:
        return min(len(self._hits), self._columns() * self._lines)

    def _fit_height(self) -> None:
        rows = -(-self._shown() // self._columns()) if self._hits else 0
        self.setFixedHeight(max(1, rows) * self._cell().height())

    def resizeEvent(self, event: QEvent) -> None:  # type: ignore[override]
        self._fit_height()

    def _box(self, index: int) -> QRect:
        cell, columns = self._cell(), self._columns()
        return QRect(index % columns * cell.width(), index // columns * cell.height(), cell.width(), cell.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            c = colours()
            for index in range(self._shown()):
                hit, box = self._hits[index], self._box(index)
                item = self._session.items.get(hit.item_id)
                if item is None:
                    continue
                face = QRect(box.left() + 3, box.top() + 3, self._side, self._side)
                painter.setOpacity(1 if self._close is None or index < self._close else FAINT)
                draw_item(painter, face, item, self._previews.get(item))
                painter.setOpacity(1)
                if index == self._at or item.id in self._session.selection:
                    painter.setPen(QPen(QColor(c.accent), 2))
                    painter.setBrush(Qt.BrushStyle.NoBrush)
                    painter.drawRect(face)
                painter.setPen(QColor(c.faint))
                painter.drawText(QRect(box.left() + 3, face.bottom() + 2, self._side, 16),
                                 int(Qt.AlignmentFlag.AlignHCenter), self._told(hit))
            if self._close is not None and 0 < self._close < self._shown():
                self._draw_line(painter, self._box(self._close))

    def _told(self, hit: Found) -> str:
        if not self._by_chance:
            return f"{hit.score:.3f}"
        return f"{hit.deviations:+.1f} σ" if hit.deviations is not None else "–"

    def _draw_line(self, painter: QPainter, first_beyond: QRect) -> None:
        """Left of the first hit that chance explains."""
        painter.setPen(QPen(QColor(colours().accent), 2, Qt.PenStyle.DashLine))
        x = max(1, first_beyond.left() - 1)
        painter.drawLine(x, first_beyond.top() + 2, x, first_beyond.bottom() - 2)

    def _index_at(self, event: QMouseEvent) -> int:
        at = event.position().toPoint()
        return next((i for i in range(self._shown()) if self._box(i).contains(at)), -1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._at = self._index_at(event)
        item = self._session.items.get(self._hits[self._at].item_id) if self._at >= 0 else None
        self.setToolTip(_tip(item.title, self._hits[self._at], self._reason) if item else "")
        self.setCursor(Qt.CursorShape.PointingHandCursor if item else Qt.CursorShape.ArrowCursor)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self._index_at(event)
        if index >= 0:
            self.opened.emit(self._hits[index].item_id)

    def leaveEvent(self, event: QEvent) -> None:
        self._at = -1
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._at = max(0, self._at)
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -self._columns(),
                 Qt.Key.Key_Down: self._columns()}
        key = Qt.Key(event.key())
        if key in moves and self._hits:
            target = self._at + moves[key]
            if 0 <= target < self._shown():
                self._at = target
                self.update()
            elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                self.focusNextPrevChild(key == Qt.Key.Key_Down)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and 0 <= self._at < len(self._hits):
            self.opened.emit(self._hits[self._at].item_id)
        else:
            super().keyPressEvent(event)


class HitsView(QWidget):
    """One HitRow per modality under its name and measure, or all hits in one."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, side: int = 76, lines: int = 1,
                 reason: Callable[[int], str] | None = None) -> None:
        """``reason`` tells why an item is there, where there is more to say than its score."""
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.rows: dict[Modality, HitRow] = {}
        self._titles: dict[Modality, QLabel] = {}
        for modality in MODALITIES:
            title = QLabel()
            title.setProperty("faint", True)
            row = HitRow(session, previews, side, lines, reason)
            row.opened.connect(self.opened)
            row.setAccessibleName(modality_name(modality))
            self._titles[modality], self.rows[modality] = title, row
            layout.addWidget(title)
            layout.addWidget(row)
        self.all = HitRow(session, previews, side, 3 * lines, reason)
        self.all.setAccessibleName(tr("All modalities"))
        self.all.opened.connect(self.opened)
        self.all.hide()
        layout.addWidget(self.all)

    def show_hits(self, hits: dict[Modality, list[Found]], measure: Measure = "cosine",
                  close: Mapping[Modality, int | None] | None = None) -> None:
        """Per modality; ``close`` says how many of each are matches, where that is known."""
        self.all.hide()
        for modality, row in self.rows.items():
            found, matches = hits.get(modality, []), (close or {}).get(modality)
            row.show_hits(found, matches)
            row.setVisible(bool(found))
            self._titles[modality].setVisible(bool(found))
            self._titles[modality].setText(f"{modality_name(modality)} · {tr(measure)}{_number(matches, found)}")

    def show_ranked(self, hits: list[Found], close: set[int]) -> None:
        """All modalities in one list, by how far above chance they are; ``close`` are the ids of matches."""
        for modality, row in self.rows.items():
            row.hide()
            self._titles[modality].hide()
        matches = [hit for hit in hits if hit.item_id in close]
        rest = [hit for hit in hits if hit.item_id not in close]
        self.all.show_hits(matches + rest, len(matches), by_chance=True)
        self.all.setVisible(bool(hits))


def _number(close: int | None, found: list[Found]) -> str:
    if close is None:
        return ""
    if close == 0:
        return " · " + tr("nothing close")
    return " · " + (tr("{} or more close") if close == len(found) else tr("{} close")).format(close)


def _tip(title: str, hit: Found, reason: Callable[[int], str] | None) -> str:
    """The title, why it is there, and how surprising the score is; as plain text."""
    told = title[:200] + (f"\n{reason(hit.item_id)}" if reason else "")
    told = told.replace("<", "‹")
    if hit.p is None or hit.deviations is None:
        return told
    return told + "\n" + tr("Score {:.3f}: {:+.1f} spreads above chance, p = {:.2g}").format(
        hit.score, hit.deviations, hit.p)
