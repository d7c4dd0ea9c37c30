"""Panels and pages that are made when they are first seen, so that the window is painted before their modules are
loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtWidgets import QLayout, QTabWidget, QVBoxLayout, QWidget

from mmstudio.desktop.text import tr


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


@dataclass(frozen=True)
class Page:
    """One of a panel's pages; ``id`` is also the name of its module."""

    id: str
    title: str
    shortcut: str = ""


class LaterPages(QWidget):
    """A panel's pages as tabs; ``make`` gives the page of an id when it is first seen."""

    def __init__(self, pages: Sequence[Page], make: Callable[[str], QWidget]) -> None:
        super().__init__()
        self._tabs = QTabWidget(documentMode=True)
        self.pages: dict[str, Later] = {}
        for page in pages:
            self.pages[page.id] = Later(partial(make, page.id))
            self._tabs.addTab(self.pages[page.id], tr(page.title))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._tabs)
        self._tabs.currentChanged.connect(self._want)
        self._want(0)

    def show_page(self, name: str) -> None:
        """Bring a page forward."""
        self._tabs.setCurrentWidget(self.pages[name])

    def _want(self, at: int) -> None:
        list(self.pages.values())[at].want()
