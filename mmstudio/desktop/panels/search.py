"""The search box and its results: type, drop, paste or speak; answers come from every modality."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from mmstudio import paths
from mmstudio.desktop.asking import Answer
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.given import is_given, take
from mmstudio.desktop.widgets.hits import HitsView
from mmstudio.desktop.widgets.question_bar import QuestionBar, Where
from mmstudio.errors import StudioError
from mmstudio.searching import Results


class SearchBox(QLineEdit):
    """A line for words that also takes a dropped or pasted picture or sound."""

    fileGiven = Signal(object, str)
    speakWanted = Signal()
    wentDown = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setPlaceholderText(tr("Search with words, or drop, paste or speak  ( / )"))
        self.setClearButtonEnabled(True)
        self.setAcceptDrops(True)
        self.setMinimumWidth(320)
        self.setAccessibleName(tr("Search"))
        self._microphone = self.addAction(icon("microphone"), QLineEdit.ActionPosition.TrailingPosition)
        self._microphone.setToolTip(tr("Search with a recording (Ctrl+Shift+R)"))
        self._microphone.triggered.connect(self.speakWanted)
        self._glass = self.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self._glass.setToolTip(tr("Search (Enter)"))
        self._glass.triggered.connect(self.returnPressed)
        THEME.changed.connect(self._icons)

    def _icons(self) -> None:
        self._microphone.setIcon(icon("microphone"))
        self._glass.setIcon(icon("search"))

    def event(self, event: QEvent) -> bool:
        """Esc belongs to this line while it has the keyboard, not to the window's selection."""
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) \
                and event.key() == Qt.Key.Key_Escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        mime = QApplication.clipboard().mimeData()
        if event.matches(QKeySequence.StandardKey.Paste) and mime is not None and self.take(mime):
            return
        if event.key() == Qt.Key.Key_Down:
            self.wentDown.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.clear()
            self.returnPressed.emit()
        else:
            super().keyPressEvent(event)

    def take(self, mime: QMimeData) -> bool:
        """Search with what was dropped or pasted; False where it is only text."""
        return take(self._session, mime, self.fileGiven.emit)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if is_given(event.mimeData()):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        if self.take(event.mimeData()):
            event.acceptProposedAction()
        else:
            super().dropEvent(event)


def save_text(text: bytes, file: Path) -> Path:
    """A pasted text as a file. Raises StudioError."""
    try:
        paths.write_atomically(file, text)
    except OSError as error:
        raise StudioError(f"The pasted text could not be written ({error.strerror}).", path=file) from error
    return file


class ResultsPanel(QWidget):
    """The question's parts, where it looks, and its hits: per modality, so that none buries another, or in one list."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, where: Where) -> None:
        super().__init__()
        self._session = session
        self._title, self.verdict = QLabel(wordWrap=True), QLabel(wordWrap=True)
        self._legend = QLabel(wordWrap=True)
        for label, style in ((self._title, "heading"), (self.verdict, "heading"), (self._legend, "faint")):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty(style, True)
        self.bar = QuestionBar(session, where)
        self.hits = HitsView(session, previews, side=92, lines=4)
        self.hits.opened.connect(self.opened)
        body = QWidget()
        inner = QVBoxLayout(body)
        inner.setContentsMargins(8, 8, 8, 8)
        for widget in (self._title, self.bar, self.verdict, self.hits, self._legend):
            inner.addWidget(widget)
        inner.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(tr(
            "Type in the search box above, drop or paste a picture or a sound on it, or speak. The nearest pictures, "
            "sounds and texts appear here.\n\nWords that begin with + or - are added to a question that is there: "
            "a dog, then +rain, then -people.")))
        self._stack.addWidget(scroll)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        session.answered.connect(self._show)
        session.projectOpened.connect(lambda: self._show(None))
        self.bar.layoutChanged.connect(lambda: self._show(session.answer))

    def _show(self, answer: Answer | None) -> None:
        self._stack.setCurrentIndex(0 if answer is None else 1)
        if answer is None:
            return
        found = answer.results
        self._title.setText(tr("Nearest to “{}”").format(answer.title))
        self.verdict.setVisible(found.nothing_is_close)
        self.verdict.setText(tr("Nothing here is close. What is shown is the nearest there is, and as near as chance "
                                "brings it."))
        if self.bar.is_one_list:
            self.hits.show_ranked(found.ranked(), _matches(found))
        else:
            self.hits.show_hits(found.hits, answer.measure, found.close)
        self._legend.setText(" ".join(filter(None, (_way(found), _line(found), self._order()))))

    def _order(self) -> str:
        return tr("σ: how many spreads a score lies above those that its modality has by chance, so that sounds and "
                  "pictures compare.") if self.bar.is_one_list else ""

    def focus_first(self) -> None:
        """Give the keyboard to the first row that has hits."""
        for row in (*self.hits.rows.values(), self.hits.all):
            if row.isVisible():
                row.setFocus()
                return


def _matches(found: Results) -> set[int]:
    return {hit.item_id for modality, hits in found.hits.items() for hit in hits[: found.close.get(modality) or 0]}


def _way(found: Results) -> str:
    """How the answer was come by."""
    if found.recall is None:
        return tr("{} items, looked at one by one.").format(count(found.searched))
    return tr("{} items by the index: {:.1f} % of the ten nearest are found, as measured.").format(
        count(found.searched), 100 * found.recall)


def _line(found: Results) -> str:
    """What the line between hits means."""
    if any(number is not None for number in found.close.values()):
        return tr("Before the dashed line are matches: at most 5 % of them are expected to be there by chance "
                  "(Benjamini–Hochberg). What is faint may be.")
    return tr("There are too few items to tell matches from chance.")
