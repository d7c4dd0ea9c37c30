"""A folder for TensorBoard's Embedding Projector: vectors, what to call them, and thumbnails.

https://www.tensorflow.org/tensorboard/tensorboard_projector_plugin; the formats are those of ``projector_config.proto``
and ``vz_projector/data-provider.ts`` in github.com/tensorflow/tensorboard.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmstudio.exports.rows import Exported, Selection, cell, columns, decimals
from mmstudio.exports.target import ExportError, opened
from mmstudio.library import Item
from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SPRITE_PIXELS = 8192
"""Of a side of the sprite image; the projector refuses larger ones."""
TILE_PIXELS, SMALLEST_TILE = 64, 8
_PLAIN = {"image": "#9e9e9e", "audio": "#f2a35e", "text": "#6ea8dc"}
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def write_projector(selection: Selection, folder: Path) -> Work[int]:
    """``vectors.tsv`` (no header), ``metadata.tsv`` (with a header; ``label`` first), ``sprite.png`` where there are
    pictures, ``projector_config.pbtxt`` for ``tensorboard --logdir FOLDER``, and ``config.json`` for the standalone
    projector. Items without a vector are left out and listed. Raises ExportError where none is left.
    """
    rows = _placeable(selection)
    if not rows or selection.dim < 2:
        raise ExportError(f"None of these items has a vector in the space {selection.space} that can be projected.",
                          hint="Encode the items first.")
    yield from _write_vectors(rows, folder / "vectors.tsv", len(selection.rows))
    _write_metadata(rows, selection.space, folder / "metadata.tsv")
    tile = tile_pixels(len(rows)) if any(row.item.modality == "image" for row in rows) else 0
    if tile >= SMALLEST_TILE:
        yield from _write_sprite(selection, rows, tile, folder / "sprite.png")
    _write_config(selection, len(rows), tile if tile >= SMALLEST_TILE else 0, folder)
    return len(rows)


def _placeable(selection: Selection) -> list[Exported]:
    found = []
    for row in selection.rows:
        if row.vector is not None and np.isfinite(row.vector).all():
            found.append(row)
        else:
            selection.problems.append((row.item.path, "The item has no vector in this space."))
    return found


def _write_vectors(rows: Sequence[Exported], target: Path, total: int) -> Work[None]:
    with opened(target) as file:
        for done, row in enumerate(rows, 1):
            if row.vector is not None:
                file.write(decimals(row.vector, "\t").encode() + b"\n")
            if done % 256 == 0 or done == len(rows):
                yield Progress(done, total, "vectors")


def _write_metadata(rows: Sequence[Exported], space: str, target: Path) -> None:
    shown = columns(rows, space)
    with opened(target) as file:
        file.write("\t".join(["label", *(_flat(column.name) for column in shown)]).encode() + b"\n")
        for row in rows:
            line = [_flat(row.item.title), *(_flat(cell(column.of(row))) for column in shown)]
            file.write("\t".join(line).encode("utf-8", "replace") + b"\n")


def _flat(text: str) -> str:
    """On one line and without tabs."""
    return _BREAKS.sub(" ", text)


def tiles_a_side(count: int) -> int:
    """The sprite has as many rows as columns, or the projector finds the wrong tiles."""
    return math.isqrt(count - 1) + 1


def tile_pixels(count: int) -> int:
    """The side of one thumbnail so that all of them fit into the largest sprite: 64 up to 16,384 items."""
    return min(TILE_PIXELS, SPRITE_PIXELS // tiles_a_side(count))


def _write_sprite(selection: Selection, rows: Sequence[Exported], tile: int, target: Path) -> Work[None]:
    """A square grid of square thumbnails, row by row from the upper left."""
    from PIL import Image

    side = tiles_a_side(len(rows))
    sprite = Image.new("RGB", (side * tile, side * tile), "white")
    for place, row in enumerate(rows):
        down, along = divmod(place, side)
        sprite.paste(_thumbnail(row.item, selection, tile), (along * tile, down * tile))
        if place % 64 == 0:
            yield Progress(place, len(selection.rows), "thumbnails")
    with opened(target) as file:
        sprite.save(file, "PNG", compress_level=4)


def _thumbnail(item: Item, selection: Selection, tile: int) -> Picture:
    """The middle of a picture's preview; a plain tile of the modality's colour for what has none."""
    from PIL import Image, ImageOps

    preview = selection.preview(item) if item.modality == "image" else b""
    try:
        if preview:
            with Image.open(io.BytesIO(preview)) as opened_preview:
                return ImageOps.fit(opened_preview.convert("RGB"), (tile, tile))
    except (OSError, ValueError, SyntaxError):
        pass
    return Image.new("RGB", (tile, tile), _PLAIN[item.modality])


def _write_config(selection: Selection, count: int, tile: int, folder: Path) -> None:
    name = _flat(selection.space) or "vectors"
    told: dict[str, object] = {
        "tensorName": name, "tensorShape": [count, selection.dim], "tensorPath": "vectors.tsv",
        "metadataPath": "metadata.tsv"}
    lines = [f"tensor_name: {json.dumps(name, ensure_ascii=False)}", f"tensor_shape: {count}",
             f"tensor_shape: {selection.dim}", 'tensor_path: "vectors.tsv"', 'metadata_path: "metadata.tsv"']
    if tile:
        told["sprite"] = {"imagePath": "sprite.png", "singleImageDim": [tile, tile]}
        lines.append(f'sprite {{ image_path: "sprite.png" single_image_dim: {tile} single_image_dim: {tile} }}')
    with opened(folder / "config.json") as file:
        file.write(json.dumps({"embeddings": [told]}, indent=2, ensure_ascii=False).encode())
    with opened(folder / "projector_config.pbtxt") as file:
        file.write("".join(["embeddings {\n", *(f"  {line}\n" for line in lines), "}\n"]).encode())
