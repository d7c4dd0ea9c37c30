"""The members of a sample as chips, of which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabBar

ROOM = 22
"""Letters of a member's title on its chip."""


class MemberChips(QTabBar):
    """``chosen`` gives the key of the member that was clicked."""

    chosen = Signal(object)

    def __init__(self, name: str) -> None:
        super().__init__(expanding=False, documentMode=True, drawBase=False, usesScrollButtons=True)
        self.setAccessibleName(name)
        self.setVisible(False)
        self.currentChanged.connect(lambda at: self.chosen.emit(self.tabData(at)))

    @property
    def key(self) -> int | None:
        """Of the member that is chosen."""
        return self.tabData(self.currentIndex()) if self.count() else None

    def show_members(self, members: Sequence[tuple[int, str]], shown: int) -> None:
        """A chip for each key with its title; ``shown`` is chosen."""
        self.blockSignals(True)
        while self.count():
            self.removeTab(0)
        for at, (key, title) in enumerate(members):
            self.addTab(title.replace("&", "&&") if len(title) <= ROOM else f"{title[: ROOM - 1]}…")
            self.setTabData(at, key)
            self.setTabToolTip(at, title.replace("<", "‹"))
        self.setCurrentIndex([key for key, _ in members].index(shown))
        self.blockSignals(False)
        self.setVisible(True)
