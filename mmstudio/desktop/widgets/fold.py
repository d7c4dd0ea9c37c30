"""A part of a panel that can be folded away under its title."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """A title with an arrow over a body; what the person chose stays."""

    def __init__(self, title: str, body: QWidget, opened: bool) -> None:
        super().__init__()
        self.body, self.button = body, QToolButton(checkable=True, checked=opened)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet("QToolButton { padding: 2px 4px 2px 0; font-weight: 600; background: transparent; }")
        self.set_title(title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(body)
        self.button.toggled.connect(self._show)
        self._show(opened)

    def set_title(self, title: str) -> None:
        self.button.setText(title)

    def _show(self, opened: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.body.setVisible(opened)


class Details(QWidget):
    """Names and values, as plain text that can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(20, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel]] = []

    def show_details(self, details: list[tuple[str, str]]) -> None:
        """One row for each; the labels are made once and used again."""
        while len(self._rows) < len(details):
            self._add_row()
        for number, labels in enumerate(self._rows):
            for label, text in zip(labels, details[number] if number < len(details) else ("", ""), strict=True):
                label.setText(text)
                label.setVisible(number < len(details))

    def _add_row(self) -> None:
        name, value = QLabel(), QLabel(wordWrap=True)
        name.setProperty("faint", True)
        for column, label in enumerate((name, value)):
            label.setTextFormat(Qt.TextFormat.PlainText)
            self._grid.addWidget(label, len(self._rows), column, Qt.AlignmentFlag.AlignTop)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._rows.append((name, value))
