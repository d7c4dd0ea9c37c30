"""A video to watch: its picture, and the bar under it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QStyle, QToolButton, QVBoxLayout, QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.projector import Projector
from mmstudio.desktop.text import clock, tr
from mmstudio.desktop.theme import THEME, icon, restyle
from mmstudio.desktop.widgets.sound_bar import Choices
from mmstudio.desktop.worker import Pool
from mmstudio.errors import StudioError
from mmstudio.media import Limits

HIGHEST_PIXELS = 380


class Film(QWidget):
    """Shows what a projector plays. Comma and full stop go by one frame, Space plays."""

    def __init__(self, pool: Pool, player: Player) -> None:
        super().__init__()
        self.projector = Projector(pool, player, self)
        self.picture = Screen()
        self.seek = SeekBar()
        self.play = QToolButton(toolTip=tr("Play or pause (Space)"))
        self.back = QToolButton(toolTip=tr("One frame back (,)"), autoRepeat=True)
        self.on = QToolButton(toolTip=tr("One frame on (.)"), autoRepeat=True)
        self.clock, self.told = QLabel(), QLabel(wordWrap=True, visible=False)
        self.choices = Choices(player)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._build()
        self._connect()

    def _build(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(0, 0, 0, 0)
        bar.setSpacing(2)
        for button in (self.play, self.back, self.on):
            bar.addWidget(button)
        bar.addWidget(self.clock)
        bar.addStretch(1)
        bar.addWidget(self.choices)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.picture)
        layout.addWidget(self.seek)
        layout.addLayout(bar)
        layout.addWidget(self.told)
        self._show_state()

    def _connect(self) -> None:
        p = self.projector
        p.shown.connect(self.picture.show_image)
        p.moved.connect(self._moved)
        p.changed.connect(self._show_state)
        p.failed.connect(self._failed)
        p.noted.connect(lambda text: self._tell(text, wrong=False))
        self.play.clicked.connect(lambda _: self.toggle())
        self.back.clicked.connect(lambda _: p.step(-1))
        self.on.clicked.connect(lambda _: p.step(1))
        self.seek.sliderMoved.connect(lambda value: p.seek(value / 1000))
        THEME.changed.connect(self._show_state)

    def open(self, path: Path, limits: Limits, seconds: float) -> None:
        """Show this video at ``seconds``, standing."""
        self.picture.show_image(QImage())
        self._tell("", wrong=False)
        self.projector.open(path, limits, seconds)
        self._show_state()

    def close_film(self) -> None:
        """Show nothing, and let go of the file."""
        self.projector.close()
        self.picture.show_image(QImage())

    def toggle(self) -> None:
        """Play or pause."""
        self._tell("", wrong=False)
        self.projector.toggle()

    def _moved(self, seconds: float) -> None:
        length = max(self.projector.seconds, seconds)
        self.clock.setText(f"{clock(seconds)} / {clock(length)}")
        if not self.seek.isSliderDown():
            self.seek.setMaximum(round(1000 * length))
            self.seek.setValue(round(1000 * seconds))

    def _show_state(self) -> None:
        for button, name in ((self.play, "pause" if self.projector.playing else "play"), (self.back, "frame_back"),
                             (self.on, "frame_on")):
            button.setIcon(icon(name))
        for control in (self.play, self.back, self.on, self.seek):
            control.setEnabled(self.projector.opened)
        self._moved(self.projector.position)

    def _failed(self, error: StudioError) -> None:
        self._tell(str(error), wrong=True)
        self._show_state()

    def _tell(self, text: str, wrong: bool) -> None:
        self.told.setText(text)
        self.told.setVisible(bool(text))
        restyle(self.told, "faint", not wrong)
        restyle(self.told, "wrong", wrong)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Comma: -1, Qt.Key.Key_Period: 1}
        key = Qt.Key(event.key())
        if key in steps:
            self.projector.step(steps[key])
        elif key == Qt.Key.Key_Space:
            self.toggle()
        else:
            super().keyPressEvent(event)


class Screen(QWidget):
    """The frame, as large as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.image = QImage()
        self._fit()
        self.setAccessibleName(tr("Video"))

    def sizeHint(self) -> QSize:
        return QSize(320, 180)

    def show_image(self, image: QImage) -> None:
        """Show a frame; with a null image the place stays as it was, and is dark."""
        shape, self.image = self.image.size(), image
        if not image.isNull() and image.size() != shape:
            self._fit()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def _fit(self) -> None:
        """As high as the frame is at this width, within bounds."""
        shape = QSize(16, 9) if self.image.isNull() else self.image.size()
        self.setFixedHeight(round(min(max(self.width() * shape.height() / shape.width(), 90), HIGHEST_PIXELS)))

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), QColor("#000000"))
            if not self.image.isNull():
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
                painter.drawImage(QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2,
                                         size.width(), size.height()), self.image)


class SeekBar(QSlider):
    """A slider in milliseconds that goes where it is pressed."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setAccessibleName(tr("Place in the video"))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setStyleSheet("QSlider { min-height: 16px; }"
                           "QSlider::groove { height: 4px; border-radius: 2px; background: palette(mid); }"
                           "QSlider::sub-page { border-radius: 2px; background: palette(highlight); }"
                           "QSlider::handle { width: 12px; margin: -4px 0; border-radius: 6px;"
                           " background: palette(highlight); }")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._go(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.setSliderDown(False)

    def _go(self, event: QMouseEvent) -> None:
        x = round(event.position().x())
        # Tells sliderMoved, as dragging the handle does.
        self.setSliderPosition(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), x, self.width()))
