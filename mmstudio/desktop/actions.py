"""Every action as one table: menus, toolbar, palette and the sheet of shortcuts are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenuBar, QWidget

from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import icon


@dataclass(frozen=True)
class Intent:
    """One thing a person can do."""

    id: str
    title: str
    menu: str
    run: Callable[[], None]
    shortcut: str = ""
    icon: str = ""


class Actions(QObject):
    """The table's QActions, by id."""

    def __init__(self, intents: list[Intent], owner: QWidget) -> None:
        super().__init__(owner)
        self._intents = intents
        self.by_id: dict[str, QAction] = {}
        for intent in intents:
            action = QAction(tr(intent.title), owner)
            action.triggered.connect(lambda _=False, run=intent.run: run())
            if intent.shortcut:
                action.setShortcut(QKeySequence(intent.shortcut))
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                action.setToolTip(f"{tr(intent.title)} ({keys})")
            owner.addAction(action)
            self.by_id[intent.id] = action
        self.refresh_icons()

    def refresh_icons(self) -> None:
        """Icons in the theme's colours."""
        for intent in self._intents:
            if intent.icon:
                self.by_id[intent.id].setIcon(icon(intent.icon))

    def all(self) -> list[QAction]:
        return list(self.by_id.values())

    def fill(self, bar: QMenuBar) -> None:
        """Menus in the order in which the table first names them."""
        for menu in dict.fromkeys(intent.menu for intent in self._intents):
            made = bar.addMenu(tr(menu))
            for intent in self._intents:
                if intent.menu == menu:
                    made.addAction(self.by_id[intent.id])
