"""The buttons of a sound: play, the time, what is repeated, how fast."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.text import clock, tr
from mmstudio.desktop.theme import THEME, icon

SPEEDS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


class Choices(QWidget):
    """Loop and speed of a player. What one of them shows, all of the same player show."""

    def __init__(self, player: Player) -> None:
        super().__init__()
        self._player = player
        self.loop = QToolButton(checkable=True)
        self.loop.setToolTip(tr("Repeat: what is marked by dragging over the sound with Shift, else all of it"))
        self.speed = QComboBox()
        self.speed.setToolTip(tr("Speed; the pitch follows it"))
        self.speed.setAccessibleName(tr("Speed"))
        for speed in SPEEDS:
            self.speed.addItem(f"{speed:g}×", speed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.loop)
        layout.addWidget(self.speed)
        self.loop.clicked.connect(lambda on: player.choose(loop=on))
        self.speed.activated.connect(lambda _: player.choose(speed=self.speed.currentData()))
        player.choicesChanged.connect(self._show)
        THEME.changed.connect(self._icons)
        self._show()
        self._icons()

    def _show(self) -> None:
        self.loop.setChecked(self._player.loop)
        self.speed.setCurrentIndex(self.speed.findData(self._player.speed))

    def _icons(self) -> None:
        self.loop.setIcon(icon("loop"))


class SoundBar(QWidget):
    """Play, the time, and the choices."""

    playWanted = Signal()

    def __init__(self, player: Player) -> None:
        super().__init__()
        self._player = player
        self.play = QToolButton(toolTip=tr("Play or pause (Space)"))
        self.clock = QLabel()
        self.choices = Choices(player)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.play)
        layout.addWidget(self.clock)
        layout.addStretch(1)
        layout.addWidget(self.choices)
        self.play.clicked.connect(lambda _: self.playWanted.emit())
        THEME.changed.connect(self.show_state)
        self.show_state()

    def show_state(self) -> None:
        """The button and the time as they are now."""
        self.play.setIcon(icon("pause" if self._player.playing else "play"))
        self.clock.setText(f"{clock(self._player.position)} / {clock(self._player.seconds)}")
