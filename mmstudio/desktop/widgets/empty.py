"""An empty state: what a panel is for, and the one button that fills it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget


class EmptyState(QWidget):
    """A sentence in the middle with buttons under it; the first is the one to press."""

    def __init__(self, text: str, buttons: list[tuple[str, Callable[[], None]]] | None = None,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        label = QLabel(text)
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setProperty("faint", True)
        layout.addWidget(label)
        layout.addSpacing(16)
        for number, (title, pressed) in enumerate(buttons or []):
            button = QPushButton(title)
            button.setProperty("primary", number == 0)
            button.clicked.connect(lambda _=False, call=pressed: call())
            layout.addWidget(button, alignment=Qt.AlignmentFlag.AlignCenter)
            layout.addSpacing(8)
        layout.addStretch(3)
