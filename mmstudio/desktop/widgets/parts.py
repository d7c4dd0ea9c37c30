"""The parts of a question as chips: what each is, how strongly it counts, and whether towards it or away from it."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QFrame, QHBoxLayout, QLabel, QLayout, QLayoutItem, QToolButton, QWidget

from mmstudio.desktop.asking import Part
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon, restyle

MOST_WEIGHT = 3.0
LONGEST = 24


class PartChip(QFrame):
    """One part: its title, its weight, and a button that takes it out."""

    weighed = Signal(float)
    dropped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 2, 2, 2)
        layout.setSpacing(2)
        self._title = QLabel()
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self.weight = QDoubleSpinBox(minimum=-MOST_WEIGHT, maximum=MOST_WEIGHT, singleStep=0.25, decimals=2)
        self.weight.setToolTip(tr("Weight: below 0 goes away from this part"))
        self.weight.setFixedWidth(72)
        self.weight.setKeyboardTracking(False)
        self._drop = QToolButton(toolTip=tr("Take this part out of the question"))
        layout.addWidget(self.weight)
        layout.addWidget(self._title)
        layout.addWidget(self._drop)
        self.weight.valueChanged.connect(self.weighed)
        self._drop.clicked.connect(self.dropped)
        THEME.changed.connect(self._icons)
        self._icons()

    def _icons(self) -> None:
        self._drop.setIcon(icon("close"))

    def show_part(self, part: Part) -> None:
        """Show a part, without asking for anything."""
        title = part.title.replace("\n", " ")
        self._title.setText(title if len(title) <= LONGEST else title[: LONGEST - 1] + "…")
        self._title.setToolTip(title.replace("<", "‹")[:200])
        restyle(self._title, "wrong", part.weight < 0)
        self.weight.blockSignals(True)
        self.weight.setValue(part.weight)
        self.weight.blockSignals(False)
        self.weight.setAccessibleName(tr("Weight of {}").format(title))


class PartsBar(QWidget):
    """A chip for each part, wrapped into lines."""

    weighed = Signal(int, float)
    dropped = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.chips: list[PartChip] = []
        self._flow = Flow(self)

    def show_parts(self, parts: tuple[Part, ...]) -> None:
        """Chips are made once and used again, so that one that is being typed in stays."""
        while len(self.chips) < len(parts):
            number, chip = len(self.chips), PartChip()
            chip.weighed.connect(lambda weight, number=number: self.weighed.emit(number, weight))
            chip.dropped.connect(lambda number=number: self.dropped.emit(number))
            self.chips.append(chip)
            self._flow.addWidget(chip)
        for number, chip in enumerate(self.chips):
            chip.setVisible(number < len(parts))
            if number < len(parts):
                chip.show_part(parts[number])
        self._flow.invalidate()
        self.updateGeometry()


class Flow(QLayout):
    """Widgets from left to right, and in as many lines as they need."""

    def __init__(self, parent: QWidget | None = None, spacing: int = 4) -> None:
        super().__init__(parent)
        self._held: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:
        self._held.append(item)

    def count(self) -> int:
        return len(self._held)

    def itemAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._held[index] if 0 <= index < len(self._held) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._held.pop(index) if 0 <= index < len(self._held) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        size = QSize()
        for item in self._held:
            if not item.isEmpty():
                size = size.expandedTo(item.minimumSize())
        return size

    def _place(self, rect: QRect, really: bool) -> int:
        """Where each goes, in the middle of its line; the height of all lines."""
        y = rect.y() - self.spacing()
        for line in self._lines(rect.width()):
            x, y, high = rect.x(), y + self.spacing(), max(item.sizeHint().height() for item in line)
            for item in line if really else ():
                size = item.sizeHint()
                item.setGeometry(QRect(QPoint(x, y + (high - size.height()) // 2),
                                       QSize(min(size.width(), rect.width()), size.height())))
                x += size.width() + self.spacing()
            y += high
        return max(0, y - rect.y())

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        """Which items stand in one line."""
        lines, x = list[list[QLayoutItem]](), 0
        for item in self._held:
            if not item.isEmpty():
                if not lines or x + item.sizeHint().width() > width:
                    lines.append([])
                    x = 0
                lines[-1].append(item)
                x += item.sizeHint().width() + self.spacing()
        return lines
