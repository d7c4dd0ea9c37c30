"""A panel that is made when it is first seen, so that the window is painted before its modules are loaded."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLayout, QVBoxLayout, QWidget


class Later(QWidget):
    """Holds what ``make`` gives, once it is wanted; ``made`` is None before. A dock behind another's tab counts as
    shown with Qt, so its ``visibilityChanged`` has to say that it is seen.
    """

    def __init__(self, make: Callable[[], QWidget]) -> None:
        super().__init__()
        self._make = make
        self.made: QWidget | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # what comes must not widen the window
        self.setMinimumSize(320, 120)

    def want(self, seen: bool = True) -> None:
        """Make it, if it is seen and not made yet."""
        if seen and self.made is None:
            self.made = self._make()
            self._layout.addWidget(self.made)
