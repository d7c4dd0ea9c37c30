"""The nearest of very many vectors: a shortlist by few principal components in few cells, then the true scores.

The vectors of each group - a modality, so that none hides another - are kept twice: whole, in half precision, and
turned into their leading principal components, the *heads*, a byte each, cut into cells around centres (an inverted
file: Sivic and Zisserman 2003; Jégou et al. 2011). The heads in the cells nearest to a question choose a shortlist,
whose true scores are reckoned in float32: approximate, with a recall that is measured. Reading the whole copy is exact,
because every row that rounding could have hidden is scored again in float32. For vectors of length 1 only, whose order
is the same by cosine, dot and Euclid.

In a folder, group by group and cell by cell: ``rows.i64`` ``(n,)``, ``vectors.f16`` ``(n, dim)`` and ``heads.i8``;
``bases.f32``, ``centres.f32`` and, of the heads, what one step of a byte is, ``steps.f32``, of the groups;
``index.json``, written last, with the fingerprint of the table that all are made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.errors import ProjectError
from mmstudio.explore.similarity import Hit, nearest, scores
from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
ROUNDING = 2 * 1.25e-3
"""No two scores of half-precision vectors of length 1 change places that lie further apart: rounding either factor
moves a score by up to 2 ** -11, and rounding the sum by up to 2 ** -12."""
WANTED_RECALL = 0.998
QUESTIONS, DEEP = 256, 10
"""So many questions of each group measure the recall of their nearest ``DEEP``; half choose, the others tell."""
SHORTLISTS = (250, 500, 1000, 2000, 4000)
PROBES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_GATHERED, _PER_ROW, _PER_HEAD = 8, 64, 0.25
"""What things cost, as half-precision numbers read in order: a number of the shortlist's rows, a row beside its
numbers, a number of a head."""
FILES = ("rows.i64", "vectors.f16", "heads.i8", "bases.f32", "centres.f32", "steps.f32")
_SAMPLE, _ROUNDS, _BLOCK = 50_000, 8, 1 << 14


@dataclass(frozen=True)
class Group:
    """Rows ``first`` to ``last`` of the files hold one group. A ``shortlist`` by ``head`` components in ``probes`` of
    ``cells`` cells has a measured ``recall``; without a shortlist the whole is read.
    """

    name: str
    first: int
    last: int
    head: int = 0
    cells: int = 0
    probes: int = 0
    shortlist: int = 0
    recall: float = 1.0


@dataclass(frozen=True)
class _Cells:
    """A group's ``basis (dim, head)``, its vectors turned by it, ``heads (n, head)`` int8 in ``steps (head,)``, the
    ``centres (cells, head)`` and ``bounds (cells + 1,)`` of its cells.
    """

    basis: Floats
    heads: NDArray[np.int8]
    steps: Floats
    centres: Floats
    bounds: Rows

    def rough(self, query: Floats, probes: int) -> tuple[Rows, NDArray[np.int32]]:
        """The rows of the cells nearest to ``query (dim,)``, counted from the group's first, and their rough scores, in
        a scale of their own.
        """
        from mmstudio.explore.kernels import products

        head = query @ self.basis
        near = np.sort(np.argpartition(-(self.centres @ head), probes - 1)[:probes])
        starts, ends = self.bounds[near], self.bounds[near + 1]
        rows, rough = np.empty((ends - starts).sum(), np.int64), np.empty((ends - starts).sum(), np.int32)
        products(self.heads, starts, ends, _weights(head * self.steps), rows, rough)
        return rows, rough


class Index:
    """Opened from its folder, and mapped from it. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        import torch

        told = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.fingerprint, self.count, dim = str(told["fingerprint"]), int(told["count"]), int(told["dim"])
        self.groups = {group["name"]: Group(**group) for group in told["groups"]}
        self.rows: Rows = np.fromfile(folder / "rows.i64", "<i8")
        self.vectors: torch.Tensor = torch.from_numpy(_mapped(folder / "vectors.f16", (self.count, dim)))
        self._cells: dict[str, _Cells] = {}
        flat = [np.fromfile(folder / name, "<f4") for name in ("bases.f32", "centres.f32", "steps.f32")]
        at = [0, 0, 0, 0]
        for group, bounds in zip(self.groups.values(), told["bounds"], strict=True):
            rows, cells = group.last - group.first, group.cells
            shapes = [(rows, group.head), (dim, group.head), (cells, group.head), (1, group.head)]
            if group.shortlist:
                heads = _mapped(folder / "heads.i8", shapes[0], at[0], np.int8)
                basis, centres, steps = (one[start : start + shape[0] * shape[1]].reshape(shape)
                                         for one, start, shape in zip(flat, at[1:], shapes[1:], strict=True))
                self._cells[group.name] = _Cells(basis, heads, steps[0], centres, np.array(bounds, np.int64))
            at = [start + shape[0] * shape[1] for start, shape in zip(at, shapes, strict=True)]

    def top(self, table: Floats, query: Floats, k: int, group: str, within: NDArray[np.bool_] | None = None,
            exact: bool = False) -> list[Hit]:
        """The ``k`` rows of a group in ``table (n, dim)`` nearest to ``query (dim,)`` by cosine, best first, only where
        ``within (n,)`` is True; ``exact`` reads all of them.
        """
        import torch

        found = self.groups.get(group)
        if found is None or k < 1:
            return []
        query = (query / max(float(np.linalg.norm(query)), 1e-12)).astype(np.float32)
        cells = None if exact or k > found.shortlist // DEEP else self._cells.get(group)
        if cells is None:
            values = torch.mv(self.vectors[found.first : found.last], torch.from_numpy(query).half()).float().numpy()
            places = np.arange(found.first, found.last)
        else:
            places, values = cells.rough(query, found.probes)
            places += found.first
        if within is not None:
            allowed = within[self.rows[places]]
            places, values = places[allowed], values[allowed]
        number = k if cells is None else found.shortlist
        if len(places) > number:
            least = torch.from_numpy(values).topk(number).values[-1].item()  # quicker than numpy's partition
            places = places[values >= (least - ROUNDING if cells is None else least)]
        rows = np.sort(self.rows[places])
        return [Hit(int(rows[hit.index]), hit.score) for hit in nearest(scores(table[rows], query), k)]


def _mapped(file: Path, shape: tuple[int, int], offset: int = 0, dtype: Any = np.float16) -> NDArray[Any]:
    """Rows of a file; as in ``kept_vectors``, writing would change memory and never the file."""
    if not shape[0] * shape[1]:
        return np.zeros(shape, dtype)
    return np.memmap(file, np.dtype(dtype).newbyteorder("<"), "c", offset, shape).view(np.ndarray)


def _in_steps(heads: Floats, steps: Floats) -> NDArray[np.int8]:
    """Heads as bytes; what lies further out than all of the sample did is cut off."""
    return np.clip(np.rint(heads / steps), -127, 127).astype(np.int8)


def _weights(query: Floats) -> NDArray[np.int16]:
    """A question's head as whole numbers, so large that no product with a head in bytes leaves 32 bits."""
    most = min(32_767.0, (2**31 - 1) / (127 * len(query)))
    return np.trunc(query * (most / max(float(np.abs(query).max()), 1e-30))).astype(np.int16)


def opened(folder: Path) -> Index | None:
    """The index in a folder, or None where there is none or it is damaged."""
    try:
        found = Index(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if len(found.rows) == found.count else None


def fingerprint(space: str, ids: Rows) -> str:
    """What an index of the vectors of these items ``(n,)``, in this order and this space, is known by."""
    return hashlib.blake2b(np.ascontiguousarray(ids, "<i8").tobytes(), digest_size=16, key=space.encode()).hexdigest()


def build(table: Floats, groups: NDArray[np.str_], folder: Path, fingerprint: str, seed: int = 0) -> Work[Index]:
    """Index ``table (n, dim)`` of vectors of length 1, each of one of ``groups (n,)``, in a folder of its own. Where it
    is closed early there is no index. Raises ProjectError where the disk is full.
    """
    rng = np.random.default_rng(seed)
    names = [str(name) for name in np.unique(groups)]
    members = {name: np.flatnonzero(groups == name) for name in names}
    asked = np.concatenate([rng.choice(rows, min(QUESTIONS, len(rows)), replace=False) for rows in members.values()])
    made: list[Group] = []
    all_bounds: list[list[int]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("index.json", *FILES):  # new files, for an older index may be mapped and in use
            (folder / name).unlink(missing_ok=True)
        with ExitStack() as files:
            kept = {name: files.enter_context(open(folder / name, "wb")) for name in FILES}
            for name, rows in members.items():
                first = made[-1].last if made else 0
                group, cut = yield from _planned(table, rows, Group(name, first, first + len(rows)), asked, rng)
                made.append(group)
                all_bounds.append(cut.bounds.tolist())
                yield from _written(kept, table, rows[cut.order], cut, Progress(first, len(table), "copying"))
        told = {"fingerprint": fingerprint, "count": len(table), "dim": table.shape[1], "bounds": all_bounds,
                "groups": [asdict(group) for group in made]}
        paths.write_atomically(folder / "index.json", json.dumps(told).encode())
        return Index(folder)
    except OSError as error:
        raise ProjectError(f"The search index could not be written ({error.strerror or error}).", path=folder,
                           hint="Searching goes on without it, only slower.") from error


@dataclass(frozen=True)
class _Cut:
    """A group's ``basis (dim, head)``, ``steps (head,)``, its rows' ``order (n,)`` by cell, the cells' ``bounds`` and
    ``centres``.
    """

    basis: Floats
    steps: Floats
    order: Rows
    bounds: Rows
    centres: Floats


def _written(kept: Mapping[str, BinaryIO], table: Floats, rows: Rows, cut: _Cut, step: Progress) -> Work[None]:
    kept["rows.i64"].write(rows.astype("<i8").tobytes())
    kept["bases.f32"].write(cut.basis.astype("<f4").tobytes())
    kept["centres.f32"].write(cut.centres.astype("<f4").tobytes())
    kept["steps.f32"].write(cut.steps.astype("<f4").tobytes())
    for start in range(0, len(rows), _BLOCK):
        block = table[rows[start : start + _BLOCK]]
        kept["vectors.f16"].write(block.astype("<f2").tobytes())
        kept["heads.i8"].write(_in_steps(block @ cut.basis, cut.steps).tobytes())
        yield Progress(step.done + start, step.total, step.text)


def _planned(table: Floats, rows: Rows, group: Group, asked: Rows, rng: np.random.Generator,
             ) -> Work[tuple[Group, _Cut]]:
    """The cheapest head, cells and shortlist that find the nearest of enough questions: rows of every group, themselves
    left out; half of them choose, the others tell the recall. In a small group, or where few components tell little,
    reading the whole is as cheap, and exact.
    """
    dim = table.shape[1]
    none = np.zeros((dim, 0), np.float32)
    whole = _Cut(none, none[0], np.arange(len(rows)), np.zeros(1, np.int64), none[:0])
    best, cut, least = group, whole, 0.7 * (dim + _PER_ROW) * len(rows)
    sample = table[np.sort(rng.choice(rows, min(len(rows), _SAMPLE), replace=False))]
    axes, truth = _principal(sample), (yield from _exactly(table, rows, asked))
    for head in (dim // 8, dim // 4):
        basis = axes[:, :head]
        steps = np.maximum(np.abs(sample @ basis).max(axis=0), 1e-12) / np.float32(127)
        cell, centres = yield from _cells_of(table, rows, basis, sample @ basis, rng)
        ranks = yield from _ranks(table, rows, asked, truth, basis, steps)
        near = (table[asked] @ basis) @ centres.T
        cell_ranks = np.take_along_axis(np.argsort(np.argsort(-near, axis=1), axis=1),
                                        cell[np.searchsorted(rows, truth)], axis=1)
        for share, size in product(PROBES, SHORTLISTS):
            probes = max(1, round(share * len(centres)))
            found = (cell_ranks < probes) & (ranks < size)
            cost = (_PER_HEAD * head + _PER_ROW) * len(rows) * share + _GATHERED * dim * size
            if cost < least and len(found) > 1 and found[::2].mean() >= WANTED_RECALL:
                order = np.argsort(cell, kind="stable")
                bounds = np.searchsorted(cell[order], np.arange(len(centres) + 1))
                best = replace(group, head=head, cells=len(centres), probes=probes, shortlist=size,
                               recall=float(found[1::2].mean()))
                cut, least = _Cut(basis, steps, order, bounds, centres), cost
    return best, cut


def _principal(sample: Floats) -> Floats:
    """``(dim, dim)`` principal axes in columns, the strongest first. What they leave out of all rows alike, as their
    mean, changes no order.
    """
    centred = sample - sample.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(axes[:, ::-1], np.float32)


def _cells_of(table: Floats, rows: Rows, basis: Floats, sample: Floats, rng: np.random.Generator,
              ) -> Work[tuple[NDArray[np.int32], Floats]]:
    """Each row's cell ``(n,)`` and the ``centres``, by k-means (Lloyd 1982) on a ``sample (m, head)``; an empty cell
    begins anew.
    """
    number = max(1, round(len(rows) ** 0.5))
    centres = sample[np.sort(rng.choice(len(sample), number, replace=False))].copy()
    for turn in range(_ROUNDS):
        yield Progress(turn, _ROUNDS, "finding cells")
        own = np.concatenate([_nearest_centre(sample[start : start + _BLOCK], centres)
                              for start in range(0, len(sample), _BLOCK)])
        order, counts = np.argsort(own, kind="stable"), np.bincount(own, minlength=number)
        filled = counts > 0
        starts = np.searchsorted(own[order], np.flatnonzero(filled))
        centres[filled] = np.add.reduceat(sample[order], starts, axis=0) / counts[filled, None]
        centres[~filled] = sample[rng.choice(len(sample), int((~filled).sum()))]
    cell = np.empty(len(rows), np.int32)
    for start in range(0, len(rows), _BLOCK):
        cell[start : start + _BLOCK] = _nearest_centre(table[rows[start : start + _BLOCK]] @ basis, centres)
        yield Progress(start, len(rows), "sorting into cells")
    return cell, centres


def _nearest_centre(vectors: Floats, centres: Floats) -> NDArray[np.int32]:
    near = vectors @ centres.T - (centres**2).sum(axis=1) / 2
    return near.argmax(axis=1).astype(np.int32)


def _exactly(table: Floats, rows: Rows, asked: Rows) -> Work[Rows]:
    """``(q, deep)`` the nearest of ``rows`` to each asked row but for itself."""
    deep, questions = max(1, min(DEEP, len(rows) - 1)), table[asked]
    best, at = np.full((len(asked), deep), -np.inf, np.float32), np.zeros((len(asked), deep), np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        near = questions @ table[block].T
        near[asked[:, None] == block] = -np.inf
        near = np.concatenate([best, near], axis=1)
        places = np.concatenate([at, np.broadcast_to(block, (len(at), len(block)))], axis=1)
        chosen = np.argpartition(-near, deep - 1, axis=1)[:, :deep]
        best, at = np.take_along_axis(near, chosen, axis=1), np.take_along_axis(places, chosen, axis=1)
        yield Progress(start, len(rows), "measuring the recall")
    return at


def _ranks(table: Floats, rows: Rows, asked: Rows, truth: Rows, basis: Floats, steps: Floats) -> Work[Rows]:
    """``(q, deep)`` how many rows come before each true neighbour by the scores of the heads in bytes."""
    questions = table[asked] @ basis * steps
    own = np.einsum("qh,qdh->qd", questions, _in_steps(table[truth] @ basis, steps).astype(np.float32))
    order = np.argsort(own, axis=1)
    thresholds = np.take_along_axis(own, order, axis=1)
    above = np.zeros(own.shape, np.int64)
    for start in range(0, len(rows), _BLOCK):
        near = questions @ _in_steps(table[rows[start : start + _BLOCK]] @ basis, steps).astype(np.float32).T
        for column in range(above.shape[1]):
            above[:, column] += (near > thresholds[:, column, None]).sum(axis=1)
        yield Progress(start, len(rows), "measuring the recall")
    out = np.empty_like(above)
    np.put_along_axis(out, order, above, axis=1)
    return out
