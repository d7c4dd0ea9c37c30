"""Small windows: settings, recording, shortcuts, the command palette."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.audio import LONGEST_RECORDING_SECONDS, Microphone, Recorder, microphones
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import clock, tr
from mmstudio.errors import StudioError
from mmstudio.settings import TABLE, Setting, Settings


class SettingsDialog(QDialog):
    """Made from the settings' table; a value is kept as soon as it is chosen."""

    changed = Signal(str)

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Settings"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        layout, sides = QVBoxLayout(self), QHBoxLayout()
        columns = {QVBoxLayout(): 0, QVBoxLayout(): 0}
        for column in columns:
            sides.addLayout(column, 1)
        layout.addLayout(sides)
        groups: dict[str, QFormLayout] = {}
        shown = [setting for setting in TABLE if setting.shown]
        for setting in shown:
            if setting.group not in groups:
                box = QGroupBox(tr(setting.group))
                groups[setting.group] = QFormLayout(box)
                shorter = min(columns, key=columns.__getitem__)
                shorter.addWidget(box)
                columns[shorter] += sum(other.group == setting.group for other in shown)
            editor = self._editor(setting)
            editor.setToolTip(tr(setting.text))
            editor.setAccessibleDescription(tr(setting.text))
            self.editors[setting.name] = editor
            groups[setting.group].addRow(tr(setting.label), editor)
        for column in columns:
            column.addStretch(1)
        self._complaint = QLabel()
        self._complaint.setWordWrap(True)
        layout.addWidget(self._complaint)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
        self.setMinimumWidth(760)

    def _editor(self, setting: Setting) -> QWidget:
        value = self._settings[setting.name]
        keep: Callable[[Any], None] = lambda new: self._keep(setting.name, new)  # noqa: E731
        if setting.choices:
            box = QComboBox()
            box.addItems(setting.choices)
            box.setCurrentText(value)
            box.currentTextChanged.connect(keep)
            return box
        if isinstance(setting.default, bool):
            check = QCheckBox(checked=value)
            check.toggled.connect(keep)
            return check
        if isinstance(setting.default, int | float):
            spin = QSpinBox() if isinstance(setting.default, int) else QDoubleSpinBox()
            spin.setRange(setting.low, setting.high)  # type: ignore[arg-type]
            spin.setValue(value)
            spin.valueChanged.connect(keep)
            return spin
        line = QLineEdit(value)
        line.editingFinished.connect(lambda: keep(line.text()))
        return line

    def _keep(self, name: str, value: Any) -> None:
        if self._settings[name] == value:
            return
        try:
            self._settings.set(name, value)
            self._complaint.setText("")
            self.changed.emit(name)
        except (StudioError, OSError) as error:
            self._complaint.setText(str(error))


class RecordDialog(QDialog):
    """Speak to search or to add: choose the microphone, see the level, record; ``recorded`` gives a WAV file."""

    recorded = Signal(object)

    def __init__(self, session: Session, parent: QWidget, stop: str = "") -> None:
        super().__init__(parent, windowTitle=tr("Record"))
        self._stop = stop or tr("Stop and search")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session = session
        self.recorder = Recorder(self)
        self.devices = QComboBox()
        self._found: list[Microphone] = []
        self.state = QLabel(tr("Looking for microphones…"))
        self.state.setWordWrap(True)
        self.level = QProgressBar(textVisible=False, maximum=100)
        self.record = QPushButton(tr("Record"))
        self.record.setProperty("primary", True)
        self.record.setDefault(True)
        again = self._again = QPushButton(tr("Look again"), autoDefault=False)
        self._closed = False
        layout = QGridLayout(self)
        layout.addWidget(QLabel(tr("Microphone")), 0, 0)
        layout.addWidget(self.devices, 0, 1)
        layout.addWidget(again, 0, 2)
        layout.addWidget(self.level, 1, 0, 1, 3)
        layout.addWidget(self.state, 2, 0, 1, 3)
        layout.addWidget(self.record, 3, 0, 1, 3)
        self.setMinimumWidth(460)
        again.clicked.connect(self.look)
        self.record.clicked.connect(self._toggle)
        self.recorder.level.connect(self._heard)
        self.recorder.failed.connect(lambda error: self._cannot(error))
        self.finished.connect(lambda _: self._finished())
        self.look()

    def look(self) -> None:
        """List the devices, behind the window: PortAudio may take its time."""
        self.record.setEnabled(False)
        self.state.setText(tr("Looking for microphones…"))
        self._session.pool.ask(microphones, self._listed, self._cannot)

    def _finished(self) -> None:
        self._closed = True
        self.recorder.stop()

    def _listed(self, found: list[Microphone]) -> None:
        if self._closed:
            return
        self._found = found
        self.devices.clear()
        self.devices.addItems([m.name for m in found])
        wish = self._session.settings["microphone"]
        self.devices.setCurrentIndex(max(0, self.devices.findText(wish)))
        self.record.setEnabled(True)
        self.record.setFocus()
        self.state.setText(tr("Press Record and speak. At most {} seconds.").format(LONGEST_RECORDING_SECONDS))

    def _cannot(self, error: StudioError) -> None:
        if self._closed:
            return
        self.devices.clear()
        self.record.setEnabled(False)
        self.record.setText(tr("Record"))
        self.state.setText(str(error))

    def _toggle(self) -> None:
        if self.recorder.recording:
            self._finish()
            return
        microphone = self._found[self.devices.currentIndex()]
        try:
            self.recorder.start(microphone)
        except StudioError as error:
            self._cannot(error)
            return
        self._session.settings.set("microphone", microphone.name)
        self._again.setEnabled(False)
        self.record.setText(self._stop)

    def _heard(self, level: float) -> None:
        self.level.setValue(round(100 * level))
        self.state.setText(clock(self.recorder.seconds()))
        if self.recorder.seconds() >= LONGEST_RECORDING_SECONDS:
            self._finish()

    def _finish(self) -> None:
        samples, rate = self.recorder.stop(), self.recorder.rate_hz
        self._again.setEnabled(True)
        self.record.setText(tr("Record"))
        if len(samples) < rate / 10 or not np.isfinite(samples).all() or np.abs(samples).max() < 1e-4:
            self.state.setText(tr("Nothing was heard. Is the microphone switched on?"))
            return
        import soundfile

        with tempfile.NamedTemporaryFile(prefix="mmstudio-", suffix=".wav", delete=False) as file:
            soundfile.write(file, samples, rate, format="WAV")
        self.recorded.emit(Path(file.name))
        self.accept()


class ShortcutsDialog(QDialog):
    """The sheet of shortcuts, made from the actions."""

    ROWS = 24
    GESTURES = (
        ("Wheel / drag", "zoom at the pointer / pan"), ("Double-click", "show everything"),
        ("Shift+drag", "lasso"), ("Ctrl+click", "add to or take from the selection"),
        ("Alt+drag", "take the lassoed from the selection"), ("Ctrl+Shift+drag", "add the lassoed"),
        ("Space, 0–9", "play or pause; jump to 0–90 % of the sound"),
        ("Ctrl+1–9", "tag with one of the last used tags"),
        ("Shift+drag on a sound", "mark what is repeated"), (", and .", "a frame back or on in a video"),
        ("Double-click or 0 on a picture", "all of it or 100 %"),
        ("Legend: click / double-click", "hide / show alone"), ("Esc", "clear the selection"),
    )

    def __init__(self, actions: list[QAction], parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Shortcuts"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet = QWidget()
        layout = QGridLayout(sheet)
        layout.setHorizontalSpacing(24)
        layout.setContentsMargins(16, 16, 16, 16)
        rows = [(a.shortcut().toString(QKeySequence.SequenceFormat.NativeText), a.text().replace("&", ""))
                for a in actions if not a.shortcut().isEmpty()]
        rows += [(tr(keys), tr(text)) for keys, text in self.GESTURES]
        for number, (keys, text) in enumerate(rows):
            key = QLabel(keys)
            key.setProperty("heading", True)
            row, column = number % self.ROWS, 2 * (number // self.ROWS)
            layout.addWidget(key, row, column)
            layout.addWidget(QLabel(text), row, column + 1)
        area = QScrollArea(widgetResizable=True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(sheet)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)
        bar = area.verticalScrollBar().sizeHint().width()
        wanted = sheet.sizeHint() + QSize(bar, bar)  # with large letters more than a small screen has
        self.resize(wanted.boundedTo(self.screen().availableSize() * 0.95))


class Palette(QDialog):
    """Every action, found by typing a part of its name."""

    def __init__(self, actions: list[QAction], parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Commands"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._actions = [a for a in actions if a.isEnabled()]
        self.line = QLineEdit(placeholderText=tr("What do you want to do?"))
        self.list = QListWidget()
        layout = QVBoxLayout(self)
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        self.resize(460, 360)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._run)
        self.list.itemActivated.connect(lambda _: self._run())
        self._fill("")

    def _fill(self, words: str) -> None:
        self.list.clear()
        for action in self._actions:
            title = action.text().replace("&", "")
            if all(word in title.casefold() for word in words.casefold().split()):
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                line = QListWidgetItem(f"{title}    {keys}")
                line.setData(Qt.ItemDataRole.UserRole, action)
                self.list.addItem(line)
        self.list.setCurrentRow(0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        if Qt.Key(event.key()) in steps:
            row = self.list.currentRow() + steps[Qt.Key(event.key())]
            self.list.setCurrentRow(max(0, min(self.list.count() - 1, row)))
        else:
            super().keyPressEvent(event)

    def _run(self) -> None:
        line = self.list.currentItem()
        self.accept()
        if line is not None:
            line.data(Qt.ItemDataRole.UserRole).trigger()
