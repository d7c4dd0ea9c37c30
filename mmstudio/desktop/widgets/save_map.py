"""A button that saves the relevance map that is shown: as a figure with its legend and caption, or as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QToolButton

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.explain.figure import Caption, write
from mmstudio.explain.maps import RelevanceMap
from mmstudio.media import Media
from mmstudio.media.scan import printable

FIGURE, NUMBERS = (".png", ".svg"), (".npz",)


@dataclass(frozen=True)
class Shown:
    """A map over an item, which ``media`` gives in any thread, and what is told of it."""

    found: RelevanceMap
    caption: Caption
    media: Callable[[], Media]


class SaveMap(QToolButton):
    """Seen while there is something to save."""

    def __init__(self, session: Session) -> None:
        super().__init__(toolTip=tr("Save this map as a figure or as numbers"))
        self.setAccessibleName(tr("Save this map"))
        self._session = session
        self.shown: Shown | None = None
        menu = QMenu(self)
        menu.addAction(tr("Save figure…"), partial(self._choose, FIGURE))
        menu.addAction(tr("Save raw map…"), partial(self._choose, NUMBERS))
        self.setMenu(menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setVisible(False)
        THEME.changed.connect(self._icon)
        self._icon()

    def _icon(self) -> None:
        self.setIcon(icon("save"))

    def offer(self, shown: Shown | None) -> None:
        """What would be saved from now on."""
        self.shown = shown
        self.setVisible(shown is not None)

    def _choose(self, suffixes: tuple[str, ...]) -> None:
        shown = self.shown
        if shown is None:
            return
        kinds = ";;".join(f"{suffix[1:].upper()} (*{suffix})" for suffix in suffixes)
        name = f"{Path(shown.caption.item).stem[:60] or 'map'}{suffixes[0]}"
        chosen, kind = QFileDialog.getSaveFileName(self, tr("Save this map"), name, kinds)
        if chosen:
            file = Path(chosen)
            ending = next((suffix for suffix in suffixes if f"*{suffix}" in kind), suffixes[0])
            self.save(shown, file if file.suffix.lower() in suffixes else Path(chosen + ending))

    def save(self, shown: Shown, file: Path) -> None:
        """Write it behind the window."""
        session = self._session
        session.pool.ask(lambda: write(shown.found, shown.media(), shown.caption, file),
                         lambda _: session.noted.emit(tr("Saved as {}").format(printable(file.name))),
                         session.failed.emit)
