"""A project of very many items, made from the example's: each is a copy of one of them - its file, its preview, its
tags - with a vector near to its own and a content of its own, so that nothing has to be encoded.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmstudio.encoders import Encoder, load_encoder
from mmstudio.library import ProjectFolder, SpaceKey
from mmstudio.library.folder import reserve
from mmstudio.library.item import Sample, item_schema, sample_rows, sample_schema
from mmstudio.library.kept import KeptTable
from mmstudio.library.kept_vectors import KeptVectors
from mmstudio.progress import finish
from mmstudio.project import Project, space_key

BLOCK = 100_000
SPREAD = 0.6
"""How long the noise is that is added to a unit vector."""
OTHER = "another model"
"""A second space, in which the texts and the sounds have vectors, so that there is something to bridge."""


def make(folder: Path, count: int, seed: int = 0) -> None:
    """A project of ``count`` items with vectors of the starter model, closed."""
    rng, encoder = np.random.default_rng(seed), load_encoder("starter", "cpu")
    held = ProjectFolder(folder)
    with tempfile.TemporaryDirectory() as temporary:
        example = Path(temporary) / "example"
        table, vectors, samples = _example(example, encoder)
        contents = _write_items(folder, table, count, rng)
        _write_previews(folder, example, table, contents)
    which = np.arange(count) % len(table)
    _write_vectors(folder, space_key(encoder), contents, which, vectors, rng)
    read = np.flatnonzero(np.asarray(table.column("modality")) != "image")
    own, other = np.isin(which, read), SpaceKey(OTHER, "1", "1", 64)
    turned = vectors @ rng.normal(size=(vectors.shape[1], other.dim)).astype(np.float32)
    _write_vectors(folder, other, [contents[at] for at in np.flatnonzero(own)], which[own], turned, rng)
    reserve(folder, _write_samples(folder, table, samples, count))
    held.close()


def _example(folder: Path, encoder: Encoder) -> tuple[pa.Table, np.ndarray, list[Sample]]:
    """The example's items, their vectors ``(n, dim)`` in the order of items, and samples."""
    project = Project.open(folder)
    with ThreadPoolExecutor(2) as pool:
        finish(project.add_example(pool))
        finish(project.encode(encoder, pool))
    view, table = project.vectors(encoder), project.items().table()
    rows = [view.rows[key] for key in table.column("id").to_pylist()]
    found = table.combine_chunks(), view.vectors[rows].copy(), project.samples()
    project.close()
    return found


def _write_items(folder: Path, table: pa.Table, count: int, rng: np.random.Generator) -> list[str]:
    """Gives the items' contents. Two columns of a person's own are made up."""
    kept, contents = KeptTable(folder, "items", item_schema), list[str]()
    own = [json.dumps({"rating": rating, "taken": f"2024-{month:02}-15"})
           for rating in range(1, 6) for month in range(1, 13)]
    for start in range(0, count, BLOCK):
        ids = np.arange(start, min(start + BLOCK, count))
        new = [bytes(row).hex() for row in rng.integers(0, 256, (len(ids), 20), np.uint8)]
        some = table.take(ids % len(table))
        for name, values in (("id", ids + 1), ("content_hash", new), ("added", 1.7e9 + ids),
                             ("columns", [own[at] for at in rng.integers(0, len(own), len(ids))])):
            at = some.schema.get_field_index(name)
            some = some.set_column(at, name, pa.array(values, some.schema.field(at).type))
        kept.add(some.cast(item_schema()))
        contents += new
    kept.close()
    return contents


def _write_previews(folder: Path, example: Path, table: pa.Table, contents: list[str]) -> None:
    of = table.column("content_hash").to_pylist()
    with sqlite3.connect(example / "previews.sqlite") as read:
        known = dict(read.execute("SELECT content_hash, preview FROM previews"))
        schema = read.execute("SELECT sql FROM sqlite_master WHERE name='previews'").fetchone()[0]
    connection = sqlite3.connect(folder / "previews.sqlite")
    with connection:
        connection.execute(schema)
        rows = ((content, known.get(of[at % len(of)])) for at, content in enumerate(contents))
        connection.executemany("INSERT INTO previews VALUES (?, ?)", (row for row in rows if row[1]))
    connection.close()


def _write_vectors(folder: Path, key: SpaceKey, contents: list[str], which: np.ndarray, vectors: np.ndarray,
                   rng: np.random.Generator) -> None:
    """Vectors near to those of the example's items ``which (n,)``."""
    kept = KeptVectors(folder, f"vectors-{key.digest}", key.dim,
                       {"space": key.space, "revision": key.revision, "preprocessing": key.preprocessing})
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for start in range(0, len(contents), BLOCK):
        some = which[start : start + BLOCK]
        noise = rng.normal(0, SPREAD / key.dim**0.5, (len(some), key.dim)).astype(np.float32)
        rows = vectors[some] + noise
        kept.add(contents[start : start + BLOCK], rows / np.linalg.norm(rows, axis=1, keepdims=True))
    kept.close()


def _write_samples(folder: Path, table: pa.Table, samples: list[Sample], count: int) -> int:
    """As in the example, in each of its copies; gives the first id that is free."""
    at = {key: row for row, key in enumerate(table.column("id").to_pylist())}
    kept, following, made = KeptTable(folder, "samples", sample_schema), count + 1, list[Sample]()
    for first in range(0, count, len(table)):
        for sample in samples:
            members = tuple(first + at[key] + 1 for key in sample.item_ids)
            if max(members) <= count:
                made.append(Sample(following, sample.name, members))
                following += 1
    for start in range(0, len(made), BLOCK):
        kept.add(sample_rows(made[start : start + BLOCK]))
    kept.close()
    return following
