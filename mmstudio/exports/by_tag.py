"""The media themselves, sorted into a folder for each tag."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.exports.names import Names, safe_name
from mmstudio.exports.rows import Exported, Selection
from mmstudio.exports.sources import copy, copy_media, media_name
from mmstudio.library import Item
from mmstudio.progress import Progress, Work

UNTAGGED = "untagged"


def write_media(selection: Selection, folder: Path) -> Work[int]:
    """Copies under their own names in ``folder/TAG/``: an item with several tags goes to each, one without to
    ``untagged``. Texts become .txt, a video's frame a PNG and its sound a WAV; where two contents have one name, the
    second gets a number. What cannot be read is listed, and the rest goes on.
    """
    folders = _folders(selection.rows, folder)
    given: dict[Path, Names] = defaultdict(Names)
    count = 0
    for done, row in enumerate(selection.rows, 1):
        try:
            _copy_to_each([folders[tag] for tag in row.item.tags or ("",)], row.item, given, selection)
            count += 1
        except MediaError as error:
            selection.problems.append((row.item.path, str(error)))
        yield Progress(done, len(selection.rows), row.item.title)
    return count


def _folders(rows: list[Exported], folder: Path) -> dict[str, Path]:
    """A folder for each tag, "" for none; tags that differ get folders that differ on every system."""
    tags = {tag for row in rows for tag in row.item.tags}
    names, found = Names(), {}
    if any(not row.item.tags for row in rows):
        found[""] = folder / names.give(UNTAGGED, "")[0]
    for tag in sorted(tags):
        found[tag] = folder / names.give(safe_name(tag, "tag"), f"tag {tag}")[0]
    return found


def _copy_to_each(folders: list[Path], item: Item, given: dict[Path, Names], selection: Selection) -> None:
    first: Path | None = None
    for folder in folders:
        name, fresh = given[folder].give(safe_name(media_name(item), f"{item.modality} {item.id}"), item.content_hash)
        if not fresh:
            continue
        folder.mkdir(exist_ok=True)
        if first is None:
            copy_media(item, folder / name, selection.limits)
            first = folder / name
        else:
            copy(first, folder / name)
