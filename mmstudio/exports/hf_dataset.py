"""A folder that Hugging Face ``datasets.load_from_disk`` reads, written with pyarrow alone.

The layout is that of ``Dataset.save_to_disk``: an Arrow IPC stream (``data-00000-of-00001.arrow``) whose schema carries
the features under the key ``huggingface``, ``dataset_info.json`` with the features again, and ``state.json``.
https://huggingface.co/docs/datasets/about_arrow; src/datasets/arrow_dataset.py in github.com/huggingface/datasets
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.exports import arrow
from mmstudio.exports.rows import Column, Exported, Selection, columns, storable
from mmstudio.exports.sources import media_bytes, media_name, png
from mmstudio.exports.target import opened
from mmstudio.library import Item
from mmstudio.media import Limits
from mmstudio.media.image import prepare_pillow
from mmstudio.progress import Progress, Work

DATA = "data-00000-of-00001.arrow"
MEDIA = ("image", "audio")
BATCH_ROWS, BATCH_BYTES = 1000, 64 << 20
_DTYPES = {"int": "int64", "text": "string", "number": "float64", "texts": "string", "ints": "int64"}


def write_dataset(selection: Selection, folder: Path) -> Work[int]:
    """The columns of a table, ``embedding`` (a Sequence of float32, null where an item has none), and ``image`` and
    ``audio`` with the files' own bytes where the selection has such items. A file that cannot be read is null and
    listed; a video's frame is embedded as PNG, its sound as WAV.
    """
    shown = columns(selection.rows, selection.space)
    media = [name for name in MEDIA if any(row.item.modality == name for row in selection.rows)]
    features = _features(shown, media)
    yield from _write_stream(selection, folder / DATA, shown, media, features)
    _write_json(folder / "dataset_info.json", {
        "citation": "", "description": f"Exported by Multimodal Studio; embeddings of the space {selection.space}.",
        "features": features, "homepage": "", "license": ""})
    _write_json(folder / "state.json", {
        "_data_files": [{"filename": DATA}], "_fingerprint": secrets.token_hex(8), "_format_columns": None,
        "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None})
    return len(selection.rows)


def _features(shown: Sequence[Column], media: Sequence[str]) -> dict[str, Any]:
    """The features as ``datasets`` writes them. "Sequence" is what versions from 1.0 on read as a list."""
    found: dict[str, Any] = {}
    for column in shown:
        value = {"dtype": _DTYPES[column.kind], "_type": "Value"}
        found[column.name] = _sequence(value) if column.kind in ("texts", "ints") else value
    found["embedding"] = _sequence({"dtype": "float32", "_type": "Value"})
    return found | {name: {"_type": name.capitalize()} for name in media}


def _sequence(value: dict[str, str]) -> dict[str, Any]:
    return {"feature": value, "length": -1, "_type": "Sequence"}


def _write_stream(
    selection: Selection, target: Path, shown: Sequence[Column], media: Sequence[str], features: dict[str, Any],
) -> Work[None]:
    import pyarrow as pa

    of_kind = arrow.types()
    held = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [*((column.name, of_kind[column.kind]) for column in shown), ("embedding", pa.list_(pa.float32())),
         *((name, held) for name in media)],
        {"huggingface": json.dumps({"info": {"features": features}})})
    waiting: list[tuple[Exported, bytes | None]] = []
    with opened(target) as file, pa.ipc.new_stream(file, schema) as writer:
        for done, row in enumerate(selection.rows, 1):
            waiting.append((row, _embedded(row.item, selection)))
            size = sum(len(content or b"") for _, content in waiting)
            if done == len(selection.rows) or len(waiting) >= BATCH_ROWS or size >= BATCH_BYTES:
                rows = [row for row, _ in waiting]
                arrays = [*arrow.arrays(shown, rows), arrow.vectors(rows),
                          *(pa.array([_struct(*pair, name) for pair in waiting], held) for name in media)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                waiting.clear()
            yield Progress(done, len(selection.rows), row.item.title)


def _struct(row: Exported, content: bytes | None, modality: str) -> dict[str, Any] | None:
    if content is None or row.item.modality != modality:
        return None
    return {"bytes": content, "path": storable(media_name(row.item))}


def _embedded(item: Item, selection: Selection) -> bytes | None:
    """The item's media, or None for a text and for what cannot be read, which is noted."""
    if item.modality not in MEDIA:
        return None
    try:
        content = media_bytes(item, selection.limits)
        return _for_pillow(item, content, selection.limits) if item.modality == "image" else content
    except MediaError as error:
        selection.problems.append((item.path, str(error)))
        return None


def _for_pillow(item: Item, content: bytes, limits: Limits) -> bytes:
    """The picture's bytes, or PNG in place of HEIC, which Pillow alone does not open."""
    prepare_pillow()
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            form = picture.format
    except Exception as error:  # a decoder over hostile bytes may raise anything
        raise UnreadableMedia("The picture is broken or cut short.", path=item.path) from error
    return png(item, limits) if form == "HEIF" else content


def _write_json(target: Path, content: dict[str, Any]) -> None:
    with opened(target) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode())
