"""The toolkit itself: versions that lose references abort the interpreter after a while."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot


class _Sender(QObject):
    fired = Signal()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12")
def test_the_toolkit_loses_no_references_to_none_and_true(qtbot: QtBot) -> None:
    widget, sender = QWidget(), _Sender()
    qtbot.addWidget(widget)
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(2000):
        widget.update()
        sender.fired.emit()
        widget.setEnabled(True)
    after = sys.getrefcount(None), sys.getrefcount(True)
    assert abs(after[0] - before[0]) < 200
    assert abs(after[1] - before[1]) < 200
