"""The items of a project in memory: a million of them cost what their table costs, not a million objects."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.ids import union
from mmstudio.library.item import Item, item_rows, item_schema, items_of
from mmstudio.library.item_columns import ItemColumns, Score
from mmstudio.library.splice import Splice
from mmstudio.library.vector_keys import KEY_BYTES, content_keys

_BLOCK = 4096
_IDENTITY, _OF_IDENTITY = ("id", "content_hash", "modality"), ("ids", "keys", "modalities", "counts", "_hashed")
"""Columns that an edit leaves as they are, and what is reckoned from them alone."""


class Base:
    """Rows of ``item_schema`` in the order of their ids, never changed; the table may be a file mapped into memory."""

    def __init__(self, table: Any = None, columns: dict[str, Any] | None = None,
                 derived: dict[str, Any] | None = None) -> None:
        if table is not None:
            self.table = table
        self._columns = columns if columns is not None else {}
        self._count = 0 if table is None else int(table.num_rows)
        self.derived: dict[str, Any] = derived if derived is not None else {}

    def __len__(self) -> int:
        return self._count

    @cached_property
    def table(self) -> Any:
        """Without rows until there are some: the window makes one before pyarrow is loaded."""
        return item_schema().empty_table()

    def column(self, name: str) -> Any:
        """A column's values ``(n,)``, always the same object."""
        if name not in self._columns:
            self._columns[name] = self.table.column(name)
        return self._columns[name]

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        if not self._count:
            return np.zeros(0, np.int64)
        return np.asarray(self.table.column("id"), np.int64)

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The row of each id ``(m,)``, -1 where there is none."""
        if not len(self):
            return np.full(len(ids), -1)
        found = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[found] == ids, found, -1)

    def row(self, item_id: int) -> int:
        """The row of an id, or -1."""
        found = bisect_left(self.ids, item_id)
        return found if found < len(self) and self.ids[found] == item_id else -1

    def take(self, rows: NDArray[np.intp]) -> Iterator[Item]:
        """The items of these rows."""
        return items_of(self.some_rows(rows).to_pydict())

    def some_rows(self, rows: NDArray[np.intp], names: Sequence[str] = ()) -> Any:
        """These rows as a table, which copies nothing where they lie side by side."""
        table = self.table.select(names) if names else self.table
        whole = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows) and bool(np.all(np.diff(rows) == 1))
        return table.slice(int(rows[0]), len(rows)) if whole else table.take(rows)

    @cached_property
    def counts(self) -> Counter[str]:
        import pyarrow.compute as pc

        found = pc.value_counts(self.table.column("modality")).to_pylist()
        return Counter({entry["values"]: entry["counts"] for entry in found})

    @cached_property
    def keys(self) -> NDArray[np.uint8]:
        """``(n, 20)``: the contents as ``vector_keys`` has them."""
        out, start = np.empty((len(self), KEY_BYTES), np.uint8), 0
        for batch in self.table.select(["content_hash"]).to_batches(max_chunksize=_BLOCK):
            out[start : start + batch.num_rows] = content_keys(batch.column(0).to_pylist())
            start += batch.num_rows
        return out

    @cached_property
    def modalities(self) -> NDArray[np.str_]:
        """``(n,)`` of "image", "audio", "text"."""
        import pyarrow as pa

        coded = self.table.column("modality").dictionary_encode()
        whole = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        return np.array(whole.dictionary.to_pylist() or [""], "<U5")[np.asarray(whole.indices, np.intp)]

    @cached_property
    def _hashed(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Python's hashes of the contents, sorted, and the row of each: 16 bytes an item where a dict takes 150."""
        codes, start = np.empty(len(self), np.int64), 0
        for batch in self.table.select(["content_hash"]).to_batches(max_chunksize=_BLOCK):
            codes[start : start + batch.num_rows] = [hash(content) for content in batch.column(0).to_pylist()]
            start += batch.num_rows
        order = np.argsort(codes, kind="stable")
        return codes[order], order

    def by_hash(self, content_hash: str) -> int | None:
        """The id of the item with this content. (Unlike numpy's search, bisect waits for no other thread.)"""
        if not self._count:
            return None
        codes, order = self._hashed
        code, column = hash(content_hash), self.table.column("content_hash")
        at = bisect_left(codes, code)
        while at < len(codes) and codes[at] == code:
            if column[int(order[at])].as_py() == content_hash:
                return int(self.ids[order[at]])
            at += 1
        return None

    def with_changes(self, fresh: Any, gone: NDArray[np.int64]) -> Base:
        """Rows of ``item_schema``, ascending by id, put in or in the place of others, and those of ids taken out. A
        column whose values stay the same stays the same array, for what is known about it.
        """
        import pyarrow as pa

        splice = Splice(self.ids, np.asarray(fresh.column("id"), np.int64), gone)
        columns = {name: splice(self.column(name), fresh.column(name)) for name in item_schema().names}
        small = Base(fresh)
        derived = {name: splice(column, ItemColumns(small).derived(name)) for name, column in self.derived.items()
                   if isinstance(column, pa.ChunkedArray)}
        if "own" in self.derived:
            derived["own"] = self.derived["own"]  # holds as long as its column is the same
        out = Base(pa.table(columns), columns, derived)
        if all(columns[name] is self.column(name) for name in _IDENTITY):
            out.__dict__.update((name, self.__dict__[name]) for name in _OF_IDENTITY if name in self.__dict__)
        return out


class Items(Mapping[int, Item]):
    """Items by id, in the order of ids: a base, and over it what was added, changed and removed since.

    For one thread, but for ``by_hash``, which others may ask meanwhile.
    """

    def __init__(self, table: Any = None) -> None:
        self._base = Base(table)
        self._changed: dict[int, Item] = {}
        self._gone: set[int] = set()
        self._hashes: dict[str, int] = {}
        self._ids: NDArray[np.int64] | None = None
        self._new = 0

    def __len__(self) -> int:
        return len(self._base) - len(self._gone) + self._new

    def __contains__(self, item_id: object) -> bool:
        if not isinstance(item_id, (int, np.integer)):
            return False
        identity = int(item_id)
        return identity in self._changed or (identity not in self._gone and self._base.row(identity) >= 0)

    def __getitem__(self, item_id: int) -> Item:
        found = self._changed.get(item_id)
        if found is not None:
            return found
        row = -1 if item_id in self._gone else self._base.row(item_id)
        if row < 0:
            raise KeyError(item_id)
        return next(self._base.take(np.array([row])))

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids().tolist())

    def values(self) -> ValuesView[Item]:
        return _Values(self)

    def ids(self) -> NDArray[np.int64]:
        """``(n,)``, ascending."""
        if self._ids is None:
            ids = self._base.ids
            if self._gone:
                ids = ids[~np.isin(ids, np.fromiter(self._gone, np.int64, len(self._gone)))]
            if self._new:
                new = np.sort(np.fromiter(self._changed, np.int64, len(self._changed)))
                ids = union(ids, new)
            self._ids = ids
        return self._ids

    def some(self, ids: NDArray[np.int64]) -> Iterator[Item]:
        """The items of these ids, a block at a time; those that are not there are passed over."""
        for start in range(0, len(ids), _BLOCK):
            block = ids[start : start + _BLOCK]
            rows = self._base.rows(block)
            found = {item.id: item for item in self._base.take(rows[rows >= 0])} if np.any(rows >= 0) else {}
            for identity in block.tolist():
                item = self._changed.get(identity) or (None if identity in self._gone else found.get(identity))
                if item:
                    yield item

    def rows_of(self, ids: NDArray[np.int64], names: Sequence[str] = ()) -> Any:
        """The items of these ids, ascending, as a table of ``item_schema`` or of some of its columns; those that are
        not there are passed over.
        """
        names = names or item_schema().names
        if len(ids) <= _BLOCK:
            return item_rows(list(self.some(ids))).select(names)
        self.fold()
        rows = self._base.rows(ids)
        return self._base.some_rows(rows[rows >= 0], names)

    def tags_of(self, ids: NDArray[np.int64]) -> list[str]:
        """The different tags of these items, sorted."""
        import pyarrow.compute as pc

        return sorted(pc.unique(pc.list_flatten(self.rows_of(ids, ["tags"]).column(0))).to_pylist())

    def columns_of(self, ids: NDArray[np.int64]) -> list[dict[str, str | float]]:
        """The different columns of the person's own that these items have, in no order."""
        import pyarrow.compute as pc

        told = pc.unique(self.rows_of(ids, ["columns"]).column(0)).to_pylist()
        return [json.loads(text) if text else {} for text in told]

    def keys_of(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The contents ``(m, 20)`` of ids that are there, as ``vector_keys`` has them."""
        out = np.zeros((len(ids), KEY_BYTES), np.uint8)
        rows = self._base.rows(ids)
        out[rows >= 0] = self._base.keys[rows[rows >= 0]]
        over = np.flatnonzero(rows < 0)
        out[over] = content_keys([self._changed[identity].content_hash for identity in ids[over].tolist()])
        return out

    def modalities_of(self, ids: NDArray[np.int64]) -> NDArray[np.str_]:
        """The modality ``(m,)`` of ids that are there."""
        out = np.zeros(len(ids), "<U5")
        rows = self._base.rows(ids)
        out[rows >= 0] = self._base.modalities[rows[rows >= 0]]
        over = np.flatnonzero(rows < 0)
        out[over] = [self._changed[identity].modality for identity in ids[over].tolist()]
        return out

    def update(self, items: Iterable[tuple[int, Item]]) -> None:
        """Put items in, new ones and changed ones."""
        for identity, item in items:
            if identity not in self._changed:
                if identity in self._gone:
                    self._gone.discard(identity)
                    self._ids = None
                elif self._base.row(identity) < 0:
                    self._new += 1
                    self._ids = None
            self._changed[identity] = item
            self._hashes[item.content_hash] = identity

    def put(self, rows: Any) -> None:
        """Like ``update``, of a table of ``item_schema``, ascending by id: very many rows cost no object each."""
        if rows.num_rows <= _BLOCK:
            self.update((item.id, item) for item in items_of(rows.to_pydict()))
        else:
            self.fold()
            self._base, self._ids = self._base.with_changes(rows, np.zeros(0, np.int64)), None

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Take the items of these ids out; those that are not there are passed over."""
        if len(ids) > _BLOCK:
            self.fold()
        for identity in ids.tolist() if self._changed else ():
            changed = self._changed.pop(identity, None)
            if changed:
                self._hashes.pop(changed.content_hash, None)
                self._new -= self._base.row(identity) < 0
        self._gone.update(ids[self._base.rows(ids) >= 0].tolist())
        self._ids = None
        if len(ids) > _BLOCK:
            self.fold()

    def __setitem__(self, item_id: int, item: Item) -> None:
        self.update([(item_id, item)])

    def pop(self, item_id: int, default: Item | None = None) -> Item | None:
        """Take an item out, and give it."""
        found = self.get(item_id, default)
        self.remove(np.array([item_id], np.int64))
        return found

    def copy(self) -> Items:
        """Items of their own over the same base."""
        out = Items.__new__(Items)
        out._base, out._ids, out._new = self._base, self._ids, self._new
        out._changed, out._gone, out._hashes = dict(self._changed), set(self._gone), dict(self._hashes)
        return out

    def counts(self) -> Counter[str]:
        """How many items there are of each modality."""
        counts = Counter(self._base.counts)
        if self._gone:
            gone = self._base.rows(np.fromiter(self._gone, np.int64, len(self._gone)))
            counts -= Counter(self._base.table.column("modality").take(gone).to_pylist())
        counts.update(item.modality for item in self._changed.values() if self._base.row(item.id) < 0)
        return +counts

    def by_hash(self, content_hash: str) -> int | None:
        """The id of the item with this content, or None. The first call reckons an index of the base."""
        found = self._hashes.get(content_hash)
        if found is not None:
            return found
        found = self._base.by_hash(content_hash)
        return None if found in self._gone else found

    def changes(self) -> int:
        """How many items lie over the base: each of them costs a kilobyte or two until they are folded into it."""
        return len(self._changed) + len(self._gone)

    def fold(self) -> None:
        """Make all changes part of the base."""
        if self._changed or self._gone:
            fresh = item_rows([self._changed[i] for i in sorted(self._changed)])
            self._base = self._base.with_changes(fresh, np.fromiter(self._gone, np.int64, len(self._gone)))
            self._changed, self._gone, self._hashes, self._new = {}, set(), {}, 0

    def table(self) -> Any:
        """All items as a table of ``item_schema``, in the order of ids."""
        self.fold()
        return self._base.table

    def columns(self, in_samples: Collection[int] = (), captioned: Collection[int] = (),
                selected: Collection[int] = (), missing: Collection[int] = (), score: Score | None = None,
                ) -> ItemColumns:
        """What a filter asks of the items, row by row in the order of ids. ``in_samples`` are the ids that belong to a
        sample, ``captioned`` those whose sample holds a text: ``has:sample``, ``has:caption``. ``selected`` are those
        in the selection: ``is:selected``, ``missing`` those whose file is gone: ``is:missing``. ``score`` is that of
        what is searched for. Folds what changed, which takes a moment for many items: best asked beside the window.
        """
        self.fold()
        return ItemColumns(self._base, in_samples, captioned, selected, missing, score)


class _Values(ValuesView[Item]):
    """Builds items a block at a time, which is ten times faster than one by one."""

    def __init__(self, items: Items) -> None:
        super().__init__(items)
        self._of = items

    def __iter__(self) -> Iterator[Item]:
        return self._of.some(self._of.ids())


class KnownContents:
    """The contents of items, as a container that grows with them."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def __contains__(self, content_hash: object) -> bool:
        return isinstance(content_hash, str) and self._items.by_hash(content_hash) is not None
