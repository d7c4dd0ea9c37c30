"""Tags by key: a dialog that completes what is typed from the known tags, and keys for those used last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QDialog, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from mmstudio.desktop.filtering import Rows
from mmstudio.desktop.text import count, tr
from mmstudio.library.items import Items

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session

SLOTS = 9
"""Keys: Ctrl and a digit from 1 on. The digits alone jump in a sound."""
MOST_SHOWN = 200
_KEPT = "tags by key"
_SHORT = 16


class Tagging(QObject):
    """``slots`` are the tags of the keys, kept with the project. A tag keeps its key while it is used: only a new one
    takes the place of that which was not used for longest.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._rows = Rows(session, self)
        self.slots: list[str] = []
        self.last: list[str] = []
        """The same, the one used last first."""
        session.projectOpened.connect(self._opened)

    def _opened(self) -> None:
        project = self._session.project
        told = project.own.get(_KEPT, {}) if project else {}
        self.slots, self.last = list(told.get("slots", ())), list(told.get("last", ()))
        self.changed.emit()

    def tag(self, tag: str) -> None:
        """Give the selection a tag, which has a key from then on."""
        tag = tag.strip()
        if not tag or not len(self._session.selection.items):
            return
        self._session.tag(self._session.selection, tag)
        if tag not in self.slots:
            if len(self.slots) < SLOTS:
                self.slots.append(tag)
            else:
                self.slots[self.slots.index(self.last.pop())] = tag
        self.last = [tag, *(other for other in self.last if other != tag)]
        self._keep()
        self.changed.emit()

    def tag_by_key(self, number: int) -> None:
        """Give the selection the tag of a key, counted from 1."""
        if number <= len(self.slots):
            self.tag(self.slots[number - 1])

    def _keep(self) -> None:
        project, told = self._session.project, {"slots": list(self.slots), "last": list(self.last)}
        if project is not None:
            self._session.models.ask(lambda: project.own.set(_KEPT, told), on_failed=self._session.failed.emit)

    def ask_known(self, then: Callable[[dict[str, int]], None]) -> None:
        """Look up the project's tags, the most used first, and how many items have each."""
        self._rows.ask(_known, then, self._session.failed.emit)

    def hint(self) -> str:
        """What the keys do."""
        told = [f"{_keys(number)} {tag if len(tag) <= _SHORT else tag[:_SHORT - 1] + '…'}"
                for number, tag in enumerate(self.slots, 1)]
        return "   ".join([tr("T  tag…"), *told])


class TagKeys(QLabel):
    """A line that says what the keys do while something is selected; makes the keys of ``window``."""

    def __init__(self, tagging: Tagging, session: Session, window: QWidget) -> None:
        super().__init__()
        self._tagging, self._session = tagging, session
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("faint", True)
        self.setContentsMargins(8, 0, 0, 0)
        self.setMinimumWidth(1)  # what does not fit is cut off rather than that the window grows
        for number in range(1, SLOTS + 1):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), window)
            shortcut.activated.connect(partial(tagging.tag_by_key, number))
        tagging.changed.connect(self._show)
        session.selectionChanged.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.setText(self._tagging.hint() if len(self._session.selection.items) else "")


class TagDialog(QDialog):
    """Type a tag, or a part of one that is known: those used last come first, then those used most. Enter takes the
    line that is marked; a new tag is a line of its own.
    """

    def __init__(self, tagging: Tagging, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Tag the selection"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._tagging = tagging
        self._known: dict[str, int] = dict.fromkeys(tagging.last, 0)
        self.line = QLineEdit(placeholderText=tr("Tag"))
        self.list = QListWidget()
        told = QLabel(tr("Enter takes the marked line; Ctrl and a digit takes the tag beside it."), wordWrap=True)
        told.setProperty("faint", True)
        layout = QVBoxLayout(self)
        for widget in (self.line, self.list, told):
            layout.addWidget(widget)
        self.resize(380, 340)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._take)
        self.list.itemActivated.connect(lambda _: self._take())
        self._fill("")
        tagging.ask_known(self._found)

    def _found(self, known: dict[str, int]) -> None:
        last = {tag: known.get(tag, 0) for tag in self._tagging.last}
        self._known = last | known
        self._fill(self.line.text())

    def _fill(self, typed: str) -> None:
        typed = typed.strip()
        folded = typed.casefold()
        found = sorted((tag for tag in self._known if folded in tag.casefold()),
                       key=lambda tag: not tag.casefold().startswith(folded))[:MOST_SHOWN]
        self.list.clear()
        for tag in found:
            key = _keys(self._tagging.slots.index(tag) + 1) if tag in self._tagging.slots else ""
            self._add(tag, "    ".join(filter(None, (tag, count(self._known[tag]) if self._known[tag] else "", key))))
        if typed and typed not in self._known:
            self._add(typed, tr("New tag “{}”").format(typed))
        self.list.setCurrentRow(0)

    def _add(self, tag: str, words: str) -> None:
        line = QListWidgetItem(words)
        line.setData(Qt.ItemDataRole.UserRole, tag)
        self.list.addItem(line)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        key, number = Qt.Key(event.key()), event.key() - Qt.Key.Key_0
        if key in steps:
            row = self.list.currentRow() + steps[key]
            self.list.setCurrentRow(max(0, min(self.list.count() - 1, row)))
        elif event.modifiers() & Qt.KeyboardModifier.ControlModifier and 1 <= number <= len(self._tagging.slots):
            self._tagging.tag_by_key(number)
            self.accept()
        else:
            super().keyPressEvent(event)

    def _take(self) -> None:
        line = self.list.currentItem()
        self.accept()
        if line is not None:
            self._tagging.tag(line.data(Qt.ItemDataRole.UserRole))


def _keys(number: int) -> str:
    return QKeySequence(f"Ctrl+{number}").toString(QKeySequence.SequenceFormat.NativeText)


def _known(items: Items) -> dict[str, int]:
    """On the lane for maths."""
    from mmstudio.library.query_match import coded

    tags, counts = coded(items.columns().column("tag")).commonest
    return dict(zip(tags.to_pylist(), counts.tolist(), strict=True))
