"""The items of the batch at which a run stopped, because its loss was no number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QLabel, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from mmstudio.desktop.text import count, tr


class FailedBatch(QWidget):
    """A list of names; ``chosen`` gives the keys of those that are selected in it, or of all."""

    chosen = Signal(list)

    def __init__(self, name_of: Callable[[int], str]) -> None:
        super().__init__()
        self._name_of = name_of
        self._keys: list[int] | None = None
        self.heading, self.names, self.all = QLabel(wordWrap=True), QListWidget(), QPushButton()
        self.heading.setProperty("faint", True)
        self.names.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.names.setAccessibleName(tr("Items of the batch"))
        layout = QVBoxLayout(self)
        layout.addWidget(self.heading)
        layout.addWidget(self.names, 1)
        layout.addWidget(self.all, 0, Qt.AlignmentFlag.AlignLeft)
        self.names.itemSelectionChanged.connect(self._tell)
        self.all.clicked.connect(self.names.selectAll)

    def show_keys(self, keys: Sequence[int]) -> None:
        """Name the items, or hide where there are none. The same ones stay as they are, with what is selected."""
        if list(keys) == self._keys:
            return
        self._keys = list(keys)
        self.names.blockSignals(True)
        self.names.clear()
        for key in keys:
            line = QListWidgetItem(self._name_of(key)[:200].replace("\n", " "))
            line.setData(Qt.ItemDataRole.UserRole, key)
            self.names.addItem(line)
        self.names.blockSignals(False)
        self.heading.setText(tr("The batch that stopped it. What is selected here is selected on the map and in the "
                                "library: look for damaged or empty ones."))
        self.all.setText(tr("Select all {}").format(count(len(keys))))
        self.setVisible(bool(keys))

    def _tell(self) -> None:
        self.chosen.emit([line.data(Qt.ItemDataRole.UserRole) for line in self.names.selectedItems()])
