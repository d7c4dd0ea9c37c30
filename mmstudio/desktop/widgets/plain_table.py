"""A small table to read, not to edit."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem


def fill_row(table: QTableWidget, row: int, cells: Sequence[str]) -> None:
    """The texts of one row."""
    for column, text in enumerate(cells):
        table.setItem(row, column, QTableWidgetItem(text))


def plain_table(titles: Sequence[str], name: str = "", stretch: bool = False) -> QTableWidget:
    """An empty table with these headings, its columns as wide as what they hold or, with ``stretch``, all alike;
    ``name`` is told to who cannot see it.
    """
    table = QTableWidget(0, len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().hide()
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.horizontalHeader().setSectionResizeMode(
        QHeaderView.ResizeMode.Stretch if stretch else QHeaderView.ResizeMode.ResizeToContents)
    table.setAccessibleName(name)
    return table
