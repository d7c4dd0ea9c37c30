"""Found items per modality, as rows of small pictures with their scores."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.theme import colours
from mmstudio.media import MODALITIES, Modality
from mmstudio.project import Found


class HitRow(QWidget):
    """Hits of one modality, wrapped into as many lines as they need. Arrows move, Enter opens."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, side: int, lines: int) -> None:
        super().__init__()
        self._session, self._previews, self._side, self._lines = session, previews, side, lines
        self._hits: list[Found] = []
        self._at: int = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        previews.arrived.connect(lambda _: self.update())

    def show_hits(self, hits: list[Found]) -> None:
        self._hits, self._at = hits, -1
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
        painter = QPainter(self)
        c = colours()
        for index in range(self._shown()):
            hit, box = self._hits[index], self._box(index)
            item = self._session.items.get(hit.item_id)
            if item is None:
                continue
            face = QRect(box.left() + 3, box.top() + 3, self._side, self._side)
            draw_item(painter, face, item, self._previews.get(item))
            if index == self._at or item.id in self._session.selection:
                painter.setPen(QPen(QColor(c.accent), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(face)
            painter.setPen(QColor(c.faint))
            painter.drawText(QRect(box.left() + 3, face.bottom() + 2, self._side, 16),
                             int(Qt.AlignmentFlag.AlignHCenter), f"{hit.score:.3f}")

    def _index_at(self, event: QMouseEvent) -> int:
        at = event.position().toPoint()
        return next((i for i in range(self._shown()) if self._box(i).contains(at)), -1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._at = self._index_at(event)
        item = self._session.items.get(self._hits[self._at].item_id) if self._at >= 0 else None
        self.setToolTip(item.title.replace("<", "‹")[:200] if item else "")
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
    """One HitRow per modality under its name; ``measure`` is named once."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, side: int = 76, lines: int = 1) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.rows: dict[Modality, HitRow] = {}
        self._titles: dict[Modality, QLabel] = {}
        for modality in MODALITIES:
            title = QLabel()
            title.setProperty("faint", True)
            row = HitRow(session, previews, side, lines)
            row.opened.connect(self.opened)
            row.setAccessibleName(modality_name(modality))
            self._titles[modality], self.rows[modality] = title, row
            layout.addWidget(title)
            layout.addWidget(row)

    def show_hits(self, hits: dict[Modality, list[Found]]) -> None:
        for modality, row in self.rows.items():
            found = hits.get(modality, [])
            row.show_hits(found)
            row.setVisible(bool(found))
            self._titles[modality].setVisible(bool(found))
            self._titles[modality].setText(tr("{} · cosine").format(modality_name(modality)))
