"""Messages above the content: what happened, to which file, what to do. Tracebacks only behind “Details”."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from mmstudio.desktop.panels.jobs import show_text
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon, restyle
from mmstudio.errors import StudioError
from mmstudio.media.scan import printable

NOTE_MS = 8000


class Banner(QFrame):
    """One message at a time; notes go by themselves, errors and offers stay until closed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 6, 6, 6)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.offer = QPushButton()
        self.offer.setProperty("primary", True)
        self.offer.clicked.connect(self._take_offer)
        self._details = QPushButton(tr("Details"))
        self._details.clicked.connect(self._show_details)
        self._close = QToolButton(toolTip=tr("Close"))
        self._close.clicked.connect(self.hide)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.offer)
        layout.addWidget(self._details)
        layout.addWidget(self._close)
        self._traceback = ""
        self._offered: Callable[[], None] | None = None
        self._leave = QTimer(self, singleShot=True, interval=NOTE_MS)
        self._leave.timeout.connect(self.hide)
        THEME.changed.connect(self._icons)
        self._icons()
        self.hide()

    def _icons(self) -> None:
        self._close.setIcon(icon("close"))

    def show_error(self, error: StudioError, again: Callable[[], None] | None = None) -> None:
        """What happened, to which file, what to do; and a way to go on where there is one."""
        file = f"{printable(error.path)}: " if error.path else ""
        self._traceback = getattr(error, "details", "")
        self._show(f"{file}{error}", "error")
        self._leave.stop()
        if again is not None:
            self._offer(tr("Continue"), again)

    def show_note(self, text: str) -> None:
        """Something worth knowing that is not wrong."""
        self._traceback = ""
        self._show(text, "note")
        self._leave.start()

    def show_offer(self, text: str, button: str, taken: Callable[[], None]) -> None:
        """A note with one thing to do about it; it stays until it is taken or closed."""
        self._traceback = ""
        self._show(text, "note")
        self._leave.stop()
        self._offer(button, taken)

    def _offer(self, button: str, taken: Callable[[], None]) -> None:
        self._offered = taken
        self.offer.setText(button)
        self.offer.show()

    def forget_offer(self) -> None:
        """What was offered belonged to another project."""
        if self._offered is not None:
            self._offered = None
            self.hide()

    def _take_offer(self) -> None:
        taken = self._offered
        self.hide()
        if taken:
            taken()

    def _show(self, text: str, kind: str) -> None:
        self._offered = None
        self.offer.hide()
        self.text.setText(text)
        restyle(self, "kind", kind)
        self._details.setVisible(bool(self._traceback))
        self.show()

    def _show_details(self) -> None:
        show_text(self, tr("Details"), self._traceback)
