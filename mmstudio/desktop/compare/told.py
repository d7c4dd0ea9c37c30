"""What classes items were told, as a table and as columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.explore.zero_shot import probabilities
from mmstudio.library import Items
from mmstudio.preparing import word_of

TAGS = "\x00tags"
"""Stands for the tags among the names of columns, none of which can be called so."""
MOST_CLASSES = 200
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Labels:
    """``ids (n,)`` of pictures and sounds, their ``vectors (n, dim)``, the classes' ``anchors (c, dim)``, and what is
    ``true (n,)`` of each, -1 where nothing is known. A run that was trained has no vectors and anchors: it gives its
    own ``shares (n, c)`` and the class it has ``decided (n,)`` for.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    anchors: NDArray[np.float32]
    true: NDArray[np.int64]
    shares: NDArray[np.float64] | None = None
    decided: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Given:
    """The labels' ``probabilities (n, classes)``, the class ``told (n,)`` of each, the rows in the ``order (n,)`` of
    how sure they are, and a ``table (classes, classes)`` of how many of what is true were told what.
    """

    probabilities: NDArray[np.float64]
    told: NDArray[np.intp]
    order: NDArray[np.intp]
    table: NDArray[np.int64]

    @classmethod
    def nothing(cls) -> Given:
        """Before anything was told."""
        return cls(np.zeros((0, 1)), np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((1, 1), np.int64))


class Told(QAbstractTableModel):
    """One row for each item, the surest first: title, class, probability, truth."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.labels: Labels | None = None
        self.given = Given.nothing()

    def show_labels(self, labels: Labels | None, given: Given) -> None:
        """Show the items of the labels."""
        self.beginResetModel()
        self.labels, self.given = labels, given
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        return 0 if self.labels is None else len(self.given.order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 4

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return (tr("Item"), tr("Told"), tr("Probability"), tr("True"))[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or self.labels is None:
            return None
        given, classes = self.given, self.labels.classes
        row = int(given.order[index.row()])
        if index.column() == 0:
            item = self._session.items.get(int(self.labels.ids[row]))
            return item.title.replace("\n", " ") if item else ""
        told, true = int(given.told[row]), int(self.labels.true[row])
        shown = classes[told], f"{given.probabilities[row, told]:.3f}", classes[true] if true >= 0 else ""
        return shown[index.column() - 1]


def given_by(labels: Labels, temperature: float) -> Given:
    """In the pool."""
    found = probabilities(labels.vectors, labels.anchors, temperature) if labels.shares is None else labels.shares
    told = found.argmax(axis=1) if labels.decided is None else labels.decided
    known, size = labels.true >= 0, len(labels.classes)
    table = np.bincount(labels.true[known] * size + told[known], minlength=size * size).reshape(size, size)
    return Given(found, told, np.argsort(-found[np.arange(len(told)), told], kind="stable"), table)


def columns_of(labels: Labels, given: Given, name: str, sure: str) -> dict[int, dict[str, str | float | None]]:
    """In the pool: each item's class and how sure it is."""
    best = given.probabilities[np.arange(len(given.told)), given.told]
    return {key: {name: labels.classes[at], sure: round(p, 6)}
            for key, at, p in zip(labels.ids.tolist(), given.told.tolist(), best.tolist(), strict=True)}


def values_of(items: Items) -> dict[str, list[str]]:
    """In the pool: the tags, and the values of each column that has not too many."""
    ids = items.ids()
    values: dict[str, set[str]] = {TAGS: set(items.tags_of(ids))} if len(ids) else {}
    for columns in items.columns_of(ids) if len(ids) else ():
        for name, value in columns.items():
            values.setdefault(name, set()).add(word_of(value))
    return {name: sorted(found) for name, found in values.items() if 1 < len(found) <= MOST_CLASSES}


def true_of(items: Items, ids: NDArray[np.int64], truth: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """``(n,)`` which class each item has by its tags or a column, -1 where none or several."""
    if not truth:
        return np.full(len(ids), -1)
    number = {name: at for at, name in enumerate(classes)}
    out = []
    for value in items.rows_of(ids, ["tags" if truth == TAGS else "columns"]).column(0).to_pylist():
        has = value or [] if truth == TAGS else [word_of((json.loads(value) if value else {}).get(truth, ""))]
        known = {number[name] for name in has if name in number}
        out.append(known.pop() if len(known) == 1 else -1)
    return np.array(out, np.int64)
