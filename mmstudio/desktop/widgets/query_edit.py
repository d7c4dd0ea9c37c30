"""The filter bar: a line that completes the query language as one types, and says what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, QObject, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QCompleter, QLineEdit, QWidget

from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import restyle

if TYPE_CHECKING:
    from mmstudio.library.query_match import Completion

COMPLETE_MS = 150
HELP = ("Words are looked for in names, texts and tags. Fields narrow further:\n"
        "modality:image   tag:dog   -tag:blurry   name:beach   has:caption   is:selected   added:today\n"
        "duration<5s   width>=640   score>0.3   (cat OR dog)   \"two words\"")


class QueryEdit(QLineEdit):
    """``completionsWanted`` asks for completions at a cursor in characters; ``show_completions`` answers. ``told`` is
    the help that is shown where nothing is wrong.
    """

    completionsWanted = Signal(str, int)

    def __init__(self, parent: QWidget | None = None, told: str = HELP) -> None:
        super().__init__(parent, placeholderText=tr("Filter: words, tag:…, duration<5s …"), clearButtonEnabled=True)
        self._told = tr(told)
        self.setToolTip(self._told)
        self.setAccessibleName(tr("Filter"))
        self._offered: list[Completion] = []
        self._names = QStringListModel(self)
        self._popup = QCompleter(self._names, self)
        self._popup.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._popup.setWidget(self)
        self._list: QAbstractItemView = self._popup.popup()  # type: ignore[assignment]
        self._list.setObjectName("completions")
        self._list.installEventFilter(self)
        self._popup.activated[QModelIndex].connect(lambda i: self._take(i.row()))  # type: ignore[index]
        self._wait = QTimer(self, singleShot=True, interval=COMPLETE_MS)
        self._wait.timeout.connect(lambda: self.completionsWanted.emit(self.text(), self._characters()))
        self.textEdited.connect(lambda _: self._wait.start())

    def show_completions(self, found: list[Completion]) -> None:
        """Offer them below, where the line is still being typed in; a single one that is typed already is none."""
        self._offered = found
        typed = self.text()
        finished = len(found) == 1 and typed[found[0].start : found[0].end] == found[0].text_to_insert
        if not found or finished or not self.hasFocus():
            self._list.hide()
            return
        self._names.setStringList([f"{c.label}    {c.detail}".rstrip() for c in found])
        self._popup.complete()
        self._list.setCurrentIndex(QModelIndex())

    def show_error(self, text: str) -> None:
        """Say what is wrong with what was typed, or ("") that nothing is."""
        self.setToolTip(text or self._told)
        restyle(self, "wrong", bool(text))

    def _take(self, row: int) -> None:
        if not 0 <= row < len(self._offered):
            return
        chosen, typed = self._offered[row], self.text()
        rest = typed[chosen.end :]
        inserted = chosen.text_to_insert + ("" if chosen.text_to_insert.endswith(":") or rest.startswith(" ") else " ")
        before = typed[: chosen.start] + inserted
        self.setText(before + rest)
        self.setCursorPosition(len(before.encode("utf-16-le")) // 2)
        if chosen.text_to_insert.endswith(":"):
            self._wait.start()

    def _characters(self) -> int:
        """The cursor in characters; Qt counts UTF-16 units."""
        units = self.text().encode("utf-16-le", "surrogatepass")[: 2 * self.cursorPosition()]
        return len(units.decode("utf-16-le", "ignore"))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Tab takes what is chosen, else the first."""
        if watched is self._list and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress \
                and event.key() == Qt.Key.Key_Tab:
            self._list.hide()
            self._take(max(0, self._list.currentIndex().row()))
            return True
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        popup = self._list
        if popup.isVisible() and event.key() == Qt.Key.Key_Escape:
            popup.hide()
        elif event.key() == Qt.Key.Key_Down and not popup.isVisible():
            self.completionsWanted.emit(self.text(), self._characters())
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._wait.stop()
