"""Which columns the library's list shows."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QMenu, QWidget

from mmstudio.desktop.list_columns import CELLS, FIRST, ListColumns
from mmstudio.desktop.text import tr


class ColumnsMenu(QMenu):
    """A tick for each column that there is: the usual ones, the person's own, then what is known of the files."""

    def __init__(self, columns: ListColumns, parent: QWidget) -> None:
        super().__init__(tr("Columns of the list"), parent)
        self._columns = columns
        self.aboutToShow.connect(self._offer)

    def _offer(self) -> None:
        """What is known at once; columns that came since as soon as they are looked up."""
        self._fill()
        known = set(self._columns.kinds)
        self._columns.look_up(lambda: self._fill() if set(self._columns.kinds) != known else None)

    def _fill(self) -> None:
        self.clear()
        kinds, shown = self._columns.kinds, self._columns.chosen
        own = [name for name in dict.fromkeys((*kinds, *shown)) if self._columns.is_own(name)]
        for names in (FIRST[1:], sorted(own, key=str.casefold), [name for name in CELLS if name not in FIRST]):
            self.addSeparator()
            for name in names:
                action = self.addAction(self._columns.title(name).replace("&", "&&"))
                action.setCheckable(True)
                action.setChecked(name in shown)
                action.toggled.connect(partial(self._columns.show_column, name))
