"""Items and samples of one project: what is on disk, and the same in memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.errors import ProjectError
from mmstudio.library import taken_along
from mmstudio.library.bulk import holding, with_tag, with_value, without_tag
from mmstudio.library.folder import never_below, reserve
from mmstudio.library.history import EDITABLE, Standing
from mmstudio.library.ids import id_array
from mmstudio.library.item import Item, Sample, item_rows, item_schema, sample_rows, sample_schema
from mmstudio.library.items import Items
from mmstudio.library.kept import KeptTable
from mmstudio.library.previews import MOST_BYTES, Previews
from mmstudio.library.said import Said, clean, clean_columns
from mmstudio.media import Description

_MANY_CHANGES = 20_000
_FAILURES_AT_ONCE = 256


@dataclass(frozen=True)
class Added:
    """What one commit added: new items, and the samples they form.

    ``changed`` are known items of which something new was said, ``before`` these as they stood (``id``, ``tags`` and
    ``columns``, ascending by id), ``told`` the ids of all items of which anything was said.
    """

    items: list[Item]
    samples: list[Sample]
    changed: list[Item]
    before: Any
    told: Collection[int]


class Store:
    """The tables of a project. Not for concurrent writers; ``preview`` may be called from any thread.

    Each change is on the disk when its method returns, or has not happened: then it raises ProjectError.
    """

    def __init__(self, folder: Path, read_only: bool = False, preview_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._item_table = KeptTable(folder, "items", item_schema, "id", read_only)
        self._sample_table = KeptTable(folder, "samples", sample_schema, "id", read_only)
        self._failure_table = KeptTable(folder, "failures", failure_schema, "at", read_only)
        self.known = Items(self._item_table.read())
        rows = self._sample_table.read()
        self._samples = _living(rows, self.known)
        self._samples_of: dict[int, list[int]] | None = None  # by item, also such as are none any more
        self._failures = {row["path"]: row["reason"] for row in self._failure_table.read().to_pylist()}
        self._failures_waiting: list[tuple[bytes, str, float]] = []
        self._previews = Previews(folder, read_only, preview_bytes)
        self._has_removed = False
        members = rows.column("item_ids").combine_chunks().flatten()
        self._next = max(never_below(folder), *(
            1 + int(np.asarray(ids).max(initial=0)) for ids in (self.known.ids(), rows.column("id"), members)))

    def follow(self, old: Path) -> None:
        """The folder lay at ``old`` before: media that lie inside it are where it is now."""
        import pyarrow.compute as pc

        begins = os.fsencode(old / "x")[:-1]
        inside = np.asarray(pc.starts_with(self.known.table().column("path"), begins))
        self._edit(self.known.ids()[inside].tolist(),
                   lambda item: replace(item, path=self._folder.absolute() / item.path.relative_to(old)))
        reserve(self._folder, self._next)

    def bring_along(self) -> None:
        """Media that were packed with the project are read from its folder from now on."""
        places = taken_along.read(self._folder)
        if places:
            import pyarrow as pa
            import pyarrow.compute as pc

            before = pa.array([os.fsencode(path) for path in places], pa.binary())
            found = np.asarray(pc.is_in(self.known.table().column("path"), value_set=before))
            self._edit(self.known.ids()[found].tolist(), lambda item: replace(item, path=places[item.path]))
            with suppress(OSError):  # told again, it changes nothing
                taken_along.forget(self._folder)

    @property
    def note(self) -> str:
        """What had to be set aside on opening, for the person to know."""
        return next(filter(None, (t.note for t in (self._item_table, self._sample_table, self._failure_table))), "")

    def close(self) -> None:
        """Leave the tables ready to be opened quickly. What fails here is no loss, and not told."""
        try:
            with suppress(ProjectError):
                self._write_failures()
            if self._has_removed:  # no one can take that back any more
                with suppress(ProjectError):
                    self._drop_previews()
            for table in (self._item_table, self._sample_table, self._failure_table):
                table.close()
        finally:
            self._previews.close()

    def compact(self) -> None:
        """Make the tables small and quick again; nothing in them changes."""
        for table in (self._item_table, self._sample_table, self._failure_table):
            table.compact()
        self._drop_previews()

    def _drop_previews(self) -> None:
        """Of contents that are not in the project any more."""
        import pyarrow as pa
        import pyarrow.compute as pc

        contents = self.known.table().column("content_hash")
        self._previews.drop_others(
            lambda some: pc.is_in(pa.array(some, contents.type), value_set=contents).to_pylist())

    # ---- items --------------------------------------------------------------------------------------------------

    def add(self, descriptions: Sequence[Description], tags: Iterable[str] = ()) -> list[Item]:
        """Commit new items with their previews; contents that the project has already are left out of the answer. Ids
        are never used again.
        """
        return self.add_grouped(descriptions, tags, ()).items

    def add_grouped(self, descriptions: Sequence[Description], tags: Iterable[str],
                    groups: Iterable[tuple[str, Sequence[int]]], told: Container[int] = ()) -> Added:
        """Like ``add``; each group, a name and places in ``descriptions``, becomes a sample of these contents, new or
        known, unless a sample holds them all. A sample is written before its items, and is none until they are there.

        A known content takes in the tags and columns that are said of it; ``told`` are items of which the same adding
        has spoken before, where the first word counts.
        """
        now, given, start = time.time(), set(tags), self._next
        places: dict[int, int] = {}
        ids: dict[str, int] = {}
        said: dict[int, Said] = {}
        for place, d in enumerate(descriptions):
            known = ids.get(d.content_hash) or self.known.by_hash(d.content_hash)
            if known is None and d.only_hashed:
                continue  # it was known when it was looked at, and was removed since
            if known is None:
                known = start + len(places)
                places[known] = place
            ids[d.content_hash] = known
            if d.tags or d.columns:
                said.setdefault(known, Said()).hear(d)
        fresh = [self._new(identity, descriptions[place], said.get(identity, Said()), given, now)
                 for identity, place in places.items()]
        changed = self._changed(said, told)
        samples = self._formed(groups, descriptions, ids, start, start + len(fresh))
        before = self.known.rows_of(id_array(item.id for item in changed), ["id", *EDITABLE])
        if fresh or samples:
            self._next = start + len(fresh) + len(samples)  # also where writing fails: an id may be on the disk then
            self._previews.put((descriptions[place].content_hash, descriptions[place].preview)
                               for place in places.values())
            self._sample_table.add(sample_rows(samples))
            self._item_table.add(item_rows(fresh))
            self._take_in_samples(samples)
            self._take_in(fresh)
        self._change(changed)
        self._write_failures(_FAILURES_AT_ONCE)
        return Added(fresh, samples, changed, before, said.keys())

    @staticmethod
    def _new(identity: int, d: Description, said: Said, tags: set[str], now: float) -> Item:
        return Item(identity, d.path, clean(d.part), d.modality, d.content_hash, clean(d.text), d.facts,
                    tuple(sorted(tags | said.tags)), said.columns, now)

    def _changed(self, said: Mapping[int, Said], told: Container[int]) -> list[Item]:
        """The known items of which something new was said, with it."""
        olds = self.known.some(id_array(said))
        return [new for old in olds if (new := said[old.id].taken_in(old, old.id in told)) is not old]

    def _formed(self, groups: Iterable[tuple[str, Sequence[int]]], descriptions: Sequence[Description],
                ids: Mapping[str, int], start: int, following: int) -> list[Sample]:
        """The samples that groups become; ids from ``start`` on are new items, from ``following`` on samples."""
        formed: dict[tuple[int, ...], str] = {}
        for name, places in groups:
            hashes = (descriptions[place].content_hash for place in places)
            members = tuple(dict.fromkeys(ids[content] for content in hashes if content in ids))
            if len(members) > 1 and (any(m >= start for m in members) or not self._together(members)):
                formed.setdefault(members, clean(name))
        return [Sample(following + place, name, members) for place, (members, name) in enumerate(formed.items())]

    def _together(self, members: Sequence[int]) -> bool:
        """Whether a sample holds all these items."""
        if self._samples_of is None:
            self._samples_of = {}
            self._note_members(self._samples.values())
        rarest = min((self._samples_of.get(member, []) for member in members), key=len)
        here = (self._samples[identity] for identity in rarest if identity in self._samples)
        return any(set(members).issubset(sample.item_ids) for sample in here)

    def _note_members(self, samples: Iterable[Sample]) -> None:
        if self._samples_of is not None:
            for sample in samples:
                for member in sample.item_ids:
                    self._samples_of.setdefault(member, []).append(sample.id)

    def _take_in_samples(self, samples: Sequence[Sample]) -> None:
        self._samples.update((sample.id, sample) for sample in samples)
        self._note_members(samples)

    def items(self) -> Items:
        """All items in the order of adding, as a copy of the reader's own."""
        return self.known.copy()

    def find_again(self, known: Iterable[Description]) -> dict[int, Description]:
        """Point items whose file is gone to where their content was found now; the ids of those that were moved."""
        found = {identity: d for d in known if (identity := self.known.by_hash(d.content_hash)) is not None}
        moved = {item.id: found[item.id] for item in self.known.some(id_array(found))
                 if item.path != found[item.id].path and not os.path.exists(item.path)}
        self._change(replace(self.known[identity], path=d.path, part=clean(d.part)) for identity, d in moved.items())
        return moved

    def move(self, places: Mapping[int, Path]) -> list[Item]:
        """Point items to other files of the same content; gives them as they are now."""
        ids = np.array(sorted(identity for identity in places if identity in self.known), np.int64)
        self._change(replace(item, path=places[item.id]) for item in self.known.some(ids))
        return list(self.known.some(ids))

    def remove(self, item_ids: Iterable[int]) -> None:
        """Take items out of the project; their files stay. Samples left with fewer than two items dissolve."""
        asked = id_array(item_ids)
        gone = asked[np.isin(asked, self.known.ids(), assume_unique=True)]
        if not len(gone):
            return
        self._reserve()

        def rest() -> Any:
            left = self.known.copy()
            left.remove(gone)
            return left.table()

        self._item_table.delete(gone, rest)  # one commit; samples are read as of the items that live
        self._has_removed = True
        self.known.remove(gone)
        before = set(self._samples)
        self._keep_living()
        with suppress(ProjectError):  # only tidying: a sample without two living items is none
            self._sample_table.delete(np.array(sorted(before - set(self._samples)), np.int64),
                                      lambda: sample_rows(list(self._samples.values())))

    def restore(self, rows: Any, samples: Iterable[Sample] = ()) -> None:
        """Put back what was removed, a table of ``item_schema``, under its old ids, and samples as they were. Contents
        that came back in another way meanwhile are left out.
        """
        contents = rows.column("content_hash").to_pylist()
        back = rows.filter(np.array([self.known.by_hash(content) is None for content in contents], np.bool_))
        self._put_samples(samples)
        self._item_table.add(back)
        self.known.put(back)
        self._keep_living()

    def _keep_living(self) -> None:
        """Samples have those of their items that are here; with fewer than two they are none."""
        for sample in list(self._samples.values()):
            members = tuple(i for i in sample.item_ids if i in self.known)
            if len(members) < 2:
                del self._samples[sample.id]
            elif len(members) < len(sample.item_ids):
                self._samples[sample.id] = replace(sample, item_ids=members)

    def put(self, standing: Standing, instead_of: Standing) -> None:
        """Make these items and samples what they are there, where they were otherwise in the other.

        Of items that are here only tags and columns are put back: where a file lies is no one's edit. What was added
        again under another id meanwhile stays as it is.
        """
        ids = np.asarray(standing.rows.column("id"), np.int64)
        here = np.isin(ids, self.known.ids(), assume_unique=True)
        back = ~here & np.isin(ids, instead_of.gone, assume_unique=True)
        if back.any():
            self.restore(standing.rows.filter(back))
        self._put_columns(standing.rows.filter(here))
        self.remove(standing.gone)
        self._put_samples(sample for sample in standing.samples.values() if sample is not None)
        for identity, sample in standing.samples.items():
            if sample is None:
                self.ungroup(identity)
        self._keep_living()
        here_still = {item.id: item.path for item in self.known.some(np.fromiter(standing.places, np.int64))}
        self.move({key: path for key, path in standing.places.items()
                   if key in instead_of.places and here_still.get(key) == instead_of.places[key]})

    def _put_columns(self, wanted: Any) -> None:
        """Give items that are here the tags and columns of a table that has either or both."""
        rows = self.known.rows_of(np.asarray(wanted.column("id"), np.int64))
        for name in set(EDITABLE) & set(wanted.column_names):
            rows = rows.set_column(rows.column_names.index(name), name, wanted.column(name))
        self._put_rows(rows)

    def tag(self, item_ids: Iterable[int], tag: str) -> None:
        """Give every item this tag."""
        tag = clean(tag)
        rows = self.known.rows_of(id_array(item_ids))
        rows = rows.filter(~holding(_whole(rows, "tags"), tag))
        self._put_rows(rows, "tags", lambda tags: with_tag(tags, tag))

    def untag(self, item_ids: Iterable[int], tag: str) -> None:
        """Take this tag off every item."""
        tag = clean(tag)
        rows = self.known.rows_of(id_array(item_ids))
        rows = rows.filter(holding(_whole(rows, "tags"), tag))
        self._put_rows(rows, "tags", lambda tags: without_tag(tags, tag))

    def set_column(self, item_ids: Iterable[int], name: str, value: str | float | None) -> None:
        """Give every item this value in a column of the person's own; None empties it."""
        name, value = clean(name), clean(value) if isinstance(value, str) else value
        rows = self.known.rows_of(id_array(item_ids))
        self._put_rows(rows, "columns", lambda told: with_value(told, name, value))

    def set_columns(self, values: Mapping[int, Mapping[str, str | float | None]]) -> None:
        """Give each of these items values of its own; None empties a column."""
        def edited(item: Item) -> Item:
            told = {**item.columns, **values[item.id]}
            return replace(item, columns=clean_columns({name: v for name, v in told.items() if v is not None}))

        self._edit(values, edited)

    def _edit(self, item_ids: Iterable[int], edited: Callable[[Item], Item]) -> None:
        self._change(new for old in self.known.some(id_array(item_ids)) if (new := edited(old)) != old)

    def _put_rows(self, rows: Any, name: str = "", edited: Callable[[Any], Any] | None = None) -> None:
        """Commit rows that are here with one column edited."""
        if edited is not None:
            rows = rows.set_column(rows.column_names.index(name), name, edited(_whole(rows, name)))
        self._item_table.update(rows)
        self.known.put(rows)

    def _change(self, items: Iterable[Item]) -> None:
        changed = list(items)
        self._item_table.update(item_rows(changed))
        self._take_in(changed)

    def _take_in(self, items: Iterable[Item]) -> None:
        self.known.update((item.id, item) for item in items)
        if self.known.changes() > _MANY_CHANGES:
            self.known.fold()

    def _reserve(self) -> None:
        """From now on ids begin here, whatever is deleted."""
        if never_below(self._folder) < self._next:
            reserve(self._folder, self._next)

    def preview(self, content_hash: str) -> bytes:
        """The preview's bytes, or none. Safe from any thread."""
        return self._previews.get(content_hash)

    def previews_at_rest(self) -> AbstractContextManager[None]:
        """Nothing is written about previews within it; what is made again is not kept."""
        return self._previews.at_rest()

    def keep_preview(self, content_hash: str, preview: bytes) -> None:
        """Put a preview that was made again in its place. Safe from any thread."""
        self._previews.put([(content_hash, preview)])

    # ---- samples ------------------------------------------------------------------------------------------------

    def group(self, name: str, item_ids: Sequence[int], weights: dict[str, float] | None = None) -> Sample:
        """Make a sample of these items."""
        return self.group_all([(name, item_ids, weights or {})])[0]

    def group_all(self, groups: Iterable[tuple[str, Sequence[int], dict[str, float]]]) -> list[Sample]:
        """Make many samples, each of a name, items and weights, in one commit."""
        samples = [Sample(self._next + place, clean(name), tuple(ids), weights)
                   for place, (name, ids, weights) in enumerate(groups)]
        self._next += len(samples)
        self._sample_table.add(sample_rows(samples))
        self._take_in_samples(samples)
        return samples

    def ungroup(self, sample_id: int) -> None:
        """Dissolve a sample; its items stay."""
        if sample_id in self._samples:
            self._reserve()
            left = {identity: s for identity, s in self._samples.items() if identity != sample_id}
            self._sample_table.delete(np.array([sample_id]), lambda: sample_rows(list(left.values())))
            self._samples = left

    def set_weights(self, sample_id: int, weights: dict[str, float]) -> None:
        """Keep the weights of a sample's fusion."""
        self.set_weights_of({sample_id: weights})

    def set_weights_of(self, weights: Mapping[int, dict[str, float]]) -> None:
        """Keep those of several samples, in one commit."""
        self._put_samples([replace(self._samples[sample_id], weights=own)
                           for sample_id, own in weights.items() if sample_id in self._samples])

    def samples(self) -> list[Sample]:
        """All samples in the order of making."""
        return [self._samples[identity] for identity in sorted(self._samples)]

    def _put_samples(self, samples: Iterable[Sample]) -> None:
        """Replace those that are there, add the others."""
        told = list(samples)
        self._sample_table.update(sample_rows([s for s in told if s.id in self._samples]))
        self._sample_table.add(sample_rows([s for s in told if s.id not in self._samples]))
        self._take_in_samples(told)

    # ---- failures -----------------------------------------------------------------------------------------------

    def note_failure(self, path: Path, reason: str) -> None:
        """Remember why a file gave no item. Written with the next many, on ``failures`` and on closing: a file that
        failed fails again when it is added again.
        """
        place, reason = os.fsencode(path), clean(reason)
        if self._failures.get(place) != reason:
            self._failures.pop(place, None)
            self._failures[place] = reason
            self._failures_waiting.append((place, reason, time.time()))
            self._write_failures(_FAILURES_AT_ONCE)

    def failures(self) -> list[tuple[Path, str]]:
        """Files that gave no item, and why."""
        self._write_failures()
        return [(Path(os.fsdecode(path)), reason) for path, reason in self._failures.items()]

    def _write_failures(self, at_least: int = 1) -> None:
        import pyarrow as pa

        if len(self._failures_waiting) >= at_least:
            paths, reasons, times = zip(*self._failures_waiting, strict=True)
            self._failure_table.add(pa.table({"path": paths, "reason": reasons, "at": times},
                                             schema=failure_schema()))
            self._failures_waiting = []


def failure_schema() -> Any:
    """The columns of the table of failures."""
    import pyarrow as pa

    return pa.schema([("path", pa.binary()), ("reason", pa.string()), ("at", pa.float64())])


def _whole(rows: Any, name: str) -> Any:
    """A column as one array."""
    import pyarrow as pa

    column = rows.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.num_chunks \
        else pa.array([], column.type)


def _living(rows: Any, items: Items) -> dict[int, Sample]:
    """Samples by id with those of their items that are there; of fewer than two, none."""
    import pyarrow as pa

    lists = rows.column("item_ids").combine_chunks()
    members = np.asarray(lists.flatten(), np.int64)
    there = np.isin(members, items.ids()) if len(members) else np.zeros(0, np.bool_)
    parents = np.asarray(pa.compute.list_parent_indices(lists)) if len(members) else members
    kept: dict[int, list[int]] = {}
    for row, member in zip(parents[there].tolist(), members[there].tolist(), strict=True):
        kept.setdefault(row, []).append(member)
    ids, names, weights = (rows.column(name).to_pylist() for name in ("id", "name", "weights"))
    return {ids[row]: Sample(ids[row], names[row], tuple(found), json.loads(weights[row]) if weights[row] else {})
            for row, found in kept.items() if len(found) > 1}
