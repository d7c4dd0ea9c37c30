"""Exports: what other programs read back is what the project holds, and no half-written result ever appears."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from mmstudio.exports import KINDS, Exported, ExportError, Outcome, export, kind_of
from mmstudio.exports import sources as export_sources
from mmstudio.exports.names import LONGEST_BYTES, Names, reserved, safe_name
from mmstudio.exports.projector import SPRITE_PIXELS, tile_pixels, tiles_a_side
from mmstudio.exports.tables import guarded
from mmstudio.exports.target import written
from mmstudio.library import Item
from mmstudio.media import Limits, load
from mmstudio.progress import finish

SPACE = 'starter "1" ✓'
FOLDERS = [kind.id for kind in KINDS.values() if kind.is_folder]
FILES = [kind.id for kind in KINDS.values() if not kind.is_folder]
RED, BLUE, GREEN = (200, 30, 20), (20, 40, 190), (30, 180, 40)
NASTY_TEXT = '=HYPERLINK("http://x";"y")\n\tsecond, "quoted"; line 👩‍👧\r\nthird'


@dataclass(frozen=True)
class ItemWithColumns(Item):
    """An item with the person's own columns, whether or not the library's item has them."""

    columns: dict[str, str | float] = field(default_factory=dict, hash=False)


def _item(number: int, path: Path | str, modality: str = "image", **more: Any) -> Item:
    values = {"part": "", "content_hash": f"hash{number}", "text": ""} | more
    return ItemWithColumns(id=number, path=Path(path), modality=modality, **values)


def _picture(path: Path, colour: tuple[int, int, int] = RED, form: str = "PNG") -> Path:
    Image.new("RGB", (48, 32), colour).save(path, form)
    return path


def _film(path: Path) -> Path:
    """Two seconds of blue with a quiet tone."""
    with av.open(str(path), "w", format="matroska") as container:
        moving = container.add_stream("libx264", rate=10)
        moving.width, moving.height, moving.pix_fmt, moving.time_base = 64, 48, "yuv420p", Fraction(1, 10)
        heard = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), BLUE, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(moving.encode(frame))
        container.mux(moving.encode(None))
        tone = (3000 * np.sin(np.arange(16_000) / 10)).astype(np.int16).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        sound.sample_rate, sound.pts = 8000, 0
        container.mux(heard.encode(sound))
        container.mux(heard.encode(None))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[Exported]:
    """Items that are hard to write down: odd names, odd texts, a missing file, an item without a vector."""
    folder = tmp_path / "media"
    folder.mkdir()
    odd = _picture(folder / ('tab\t new\nline "q" 😀.png' if os.name == "posix" else "odd.png"))
    broken = _picture(folder / (os.fsdecode(b"bad-\xff\xe9.png") if sys.platform == "linux" else "bad.png"), GREEN)
    soundfile.write(folder / "=sound.wav", np.linspace(-0.5, 0.5, 800), 8000)
    film = _film(folder / "film.mkv")
    rng = np.random.default_rng(5)

    def vector() -> np.ndarray:
        return rng.normal(size=12).astype(np.float32) * np.float32(10) ** rng.integers(-20, 20, 12).astype(np.float32)

    return [
        Exported(_item(7, odd, facts={"width": 48, "height": 32}, tags=("=tag", "b/c"),
                       columns={"stars": 4, "note": "-1+2", "Text": "taken"}), vector(), (0.1, -2.5), (3, 11)),
        Exported(_item(8, broken, facts={"width": 1e-7}, columns={"mixed": 1.5}), vector(), (math.pi, 1e300)),
        Exported(_item(9, folder / "=sound.wav", "audio", facts={"rate_hz": 8000.0, "path": 2.0}, tags=("b/c",),
                       columns={"mixed": "two"}), vector()),
        Exported(_item(10, folder / "t.md", "text", part="passage 1", text=NASTY_TEXT, tags=("b:c", "B/C")), vector()),
        Exported(_item(11, folder / "empty.txt", "text", text=""), vector(), (0.0, 0.0), (3,)),
        Exported(_item(12, folder / "gone.png", tags=("b/c",)), vector()),
        Exported(_item(13, film, part="frame 1.000 s"), None, (5.0, 5.0)),
        Exported(_item(14, film, "audio", part="sound"), vector()),
    ]


def _preview(item: Item) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (192, 100), {7: RED, 8: GREEN}.get(item.id, BLUE)).save(out, "JPEG", quality=95)
    return b"" if item.id == 12 else b"no JPEG" if item.id == 13 else out.getvalue()


@pytest.fixture
def run(rows: list[Exported], tmp_path: Path) -> Callable[..., Outcome]:
    """Export the rows as a kind into a folder of their own."""
    def start(kind: str, chosen: list[Exported] | None = None) -> Outcome:
        (tmp_path / "out").mkdir(exist_ok=True)
        target = tmp_path / "out" / ("result" + KINDS[kind].suffix.replace("folder", ""))
        return finish(export(rows if chosen is None else chosen, target, KINDS[kind], SPACE, _preview))
    return start


def _path_text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _expected(row: Exported) -> dict[str, Any]:
    """A row's cells, written down without the code under test."""
    item, facts = row.item, dict(row.item.facts)
    free = dict(item.columns)
    return {
        "id": item.id, "path": _path_text(item.path), "part": item.part, "modality": item.modality,
        "content_hash": item.content_hash, "text": item.text, "tags": list(item.tags), "width": facts.get("width"),
        "height": facts.get("height"), "rate_hz": facts.get("rate_hz"), "fact_path": facts.get("path"),
        "stars": free.get("stars"), "note": free.get("note"), "column_Text": free.get("Text"),
        "mixed": None if "mixed" not in free else str(free["mixed"]), "space": SPACE,
        "x": row.place and row.place[0], "y": row.place and row.place[1], "samples": list(row.samples)}


# ---- each kind, read back by another reader -------------------------------------------------------------------------

def test_parquet_reads_back_every_value_and_every_bit_of_the_vectors(run, rows):
    outcome = run("parquet")
    assert outcome == Outcome(outcome.path, len(rows), ())
    table = pq.read_table(outcome.path)
    assert table.column_names == [*_expected(rows[0]), "vector"]
    assert table.schema.field("vector").type == pa.list_(pa.field("element", pa.float32()))
    assert table.schema.field("tags").type.value_type == pa.string()
    for read, row in zip(table.to_pylist(), rows, strict=True):
        vector = read.pop("vector")
        assert read == _expected(row)
        assert vector is None if row.vector is None else np.array(vector, np.float32).tobytes() == row.vector.tobytes()


def test_parquet_vectors_are_of_fixed_size_where_every_item_has_one(run, rows):
    chosen = [row for row in rows if row.vector is not None]
    table = pq.read_table(run("parquet", chosen).path)
    assert table.schema.field("vector").type.list_size == 12
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 12)
    assert vectors.tobytes() == np.stack([row.vector for row in chosen]).tobytes()


def test_parquet_of_items_without_any_vector_can_be_read(run, rows):
    assert pq.read_table(run("parquet", rows[6:7]).path)["vector"].to_pylist() == [None]


def test_csv_reads_back_every_value_once_the_guarding_apostrophe_is_taken_off(run, rows):
    raw = run("csv").path.read_bytes()
    assert raw.startswith(b"id,path,")
    read = list(csv.reader(io.StringIO(raw.decode("utf-8"), newline="")))
    assert all(len(line) == len(read[0]) for line in read)
    for line, row in zip(read[1:], rows, strict=True):
        got = {name: _unguarded(cell) for name, cell in zip(read[0], line, strict=True)}
        for name, value in _expected(row).items():
            if isinstance(value, list):
                assert got[name] == "; ".join(map(str, value))
            elif isinstance(value, float):
                assert float(got[name]) == value
            elif name not in ("width", "height", "stars"):
                assert got[name] == ("" if value is None else str(value))
    assert "vector" not in read[0]


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell


def test_csv_holds_no_text_that_a_spreadsheet_runs_but_leaves_numbers_alone(run, rows):
    with open(run("csv").path, newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read[3]["text"] == "'" + NASTY_TEXT
    assert read[0]["note"] == "'-1+2"
    assert read[0]["tags"].startswith("'=tag")
    assert read[0]["y"] == "-2.5"
    for line in read:
        texts = [cell for name, cell in line.items() if name not in ("x", "y", "width", "height")]
        assert not [cell for cell in texts if cell.lstrip()[:1] in tuple("=+-@＝＋－＠")]


@pytest.mark.parametrize(
    "text", ["=1", "'=1", "''=1", "\t=1", " +1", "\n", "-", "＝1", "@x", "plain", "'plain", "", "a=b"])
def test_a_guarded_cell_is_no_formula_and_gives_its_text_back(text):
    cell = guarded(text)
    assert cell[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    assert _unguarded(cell) == text
    assert (cell == text) == (text.lstrip("'") in ("plain", "", "a=b"))


def test_json_lines_read_back_every_value_and_vectors_to_the_same_float32(run, rows):
    raw = run("jsonl").path.read_bytes()
    lines = raw.split(b"\n")
    assert lines.pop() == b""
    for line, row in zip(lines, rows, strict=True):
        read = json.loads(line, parse_constant=pytest.fail)
        vector = read.pop("vector")
        assert read == _expected(row)
        if row.vector is None:
            assert vector is None
        else:
            assert np.allclose(vector, row.vector, rtol=1e-6, atol=0)
            assert np.array_equal(np.array(vector, np.float32), row.vector)


def test_json_lines_say_null_for_what_json_has_no_word_for(run):
    vector = np.array([1, np.nan, np.inf], np.float32)
    row = Exported(_item(1, "/a.png", facts={"odd": math.inf, "fine": 2.0}), vector, (math.nan, 0.0))
    read = json.loads(run("jsonl", [row]).path.read_text(), parse_constant=pytest.fail)
    assert (read["odd"], read["fine"], read["x"], read["vector"]) == (None, 2.0, None, [1.0, None, None])


def test_numpy_reads_back_every_array_without_unpickling(run, rows):
    with np.load(run("npz").path, allow_pickle=False) as read:
        assert read["ids"].tolist() == [row.item.id for row in rows]
        assert read["paths"].tolist() == [_path_text(row.item.path) for row in rows]
        assert read["parts"].tolist() == [row.item.part for row in rows]
        assert read["modalities"].tolist() == [row.item.modality for row in rows]
        assert read["texts"].tolist() == [row.item.text for row in rows]
        assert read["tags"].tolist() == ["; ".join(row.item.tags) for row in rows]
        assert str(read["space"]) == SPACE
        assert read["vectors"].dtype == np.float32
        for vector, place, row in zip(read["vectors"], read["places"], rows, strict=True):
            assert np.isnan(vector).all() if row.vector is None else vector.tobytes() == row.vector.tobytes()
            assert np.isnan(place).all() if row.place is None else tuple(place) == row.place


def test_a_text_that_would_blow_up_the_numpy_array_is_refused(run, rows):
    long = Exported(_item(1, "/t.txt", "text", text="x" * (1 << 26)))
    with pytest.raises(ExportError, match="too long for NumPy"):
        run("npz", [long, *rows])


def _dataset(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    state = json.loads((folder / "state.json").read_text())
    with open(folder / state["_data_files"][0]["filename"], "rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert json.loads((folder / "dataset_info.json").read_text())["features"] == features
    assert list(features) == table.column_names
    assert len(state["_fingerprint"]) == 16
    return features, table.to_pylist()


def test_a_dataset_carries_its_features_and_the_very_bytes_of_the_files(run, rows):
    outcome = run("datasets")
    features, read = _dataset(outcome.path)
    assert sorted(os.listdir(outcome.path)) == ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"]
    assert (features["image"], features["audio"]) == ({"_type": "Image"}, {"_type": "Audio"})
    assert features["embedding"]["feature"] == {"dtype": "float32", "_type": "Value"}
    for got, row in zip(read, rows, strict=True):
        vector, image, audio = (got.pop(name) for name in ("embedding", "image", "audio"))
        assert got == _expected(row)
        assert vector is None if row.vector is None else np.array(vector, np.float32).tobytes() == row.vector.tobytes()
        if not row.item.part and row.item.path.exists():
            assert (image or audio)["bytes"] == row.item.path.read_bytes()
        assert image is None or row.item.modality == "image"
        assert audio is None or row.item.modality == "audio"
    assert outcome.problems == ((rows[5].item.path, "The file is not there."),)
    assert outcome.count == len(rows)


def test_a_frame_and_a_sound_of_a_video_are_embedded_as_png_and_wav(run, rows):
    _, read = _dataset(run("datasets").path)
    frame = Image.open(io.BytesIO(read[6]["image"]["bytes"]))
    assert frame.format == "PNG"
    assert frame.tobytes() == load(rows[6].item.ref, Limits()).tobytes()
    samples, rate = soundfile.read(io.BytesIO(read[7]["audio"]["bytes"]))
    assert rate == 8000
    assert samples * 32768 == pytest.approx(3000 * np.sin(np.arange(16_000) / 10), abs=1.5)
    assert read[6]["image"]["path"].endswith(".png")
    assert read[7]["audio"]["path"].endswith(".wav")


def test_what_pillow_alone_cannot_open_is_embedded_as_png(run, tmp_path):
    path = tmp_path / "phone.heic"
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), GREEN)).save(path)
    _, read = _dataset(run("datasets", [Exported(_item(1, path))]).path)
    assert Image.open(io.BytesIO(read[0]["image"]["bytes"])).format == "PNG"


def test_broken_and_huge_pictures_are_listed_and_the_rest_goes_on(run, rows, tmp_path, monkeypatch):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "huge.png").write_bytes(b"x" * 2000)
    monkeypatch.setattr(export_sources, "MOST_BYTES", 1000)
    chosen = [Exported(_item(1, tmp_path / "broken.png")), Exported(_item(2, tmp_path / "huge.png")), rows[0]]
    outcome = run("datasets", chosen)
    assert [path.name for path, _ in outcome.problems] == ["broken.png", "huge.png"]
    assert _dataset(outcome.path)[1][2]["image"]["bytes"] == rows[0].item.path.read_bytes()


def test_the_projector_reads_as_many_vectors_as_names_and_finds_each_thumbnail(run, rows):
    outcome = run("projector")
    kept = [row for row in rows if row.vector is not None]
    assert outcome.problems == ((rows[6].item.path, "The item has no vector in this space."),)
    assert outcome.count == len(kept)
    lines = (outcome.path / "vectors.tsv").read_text().split("\n")
    vectors = np.array([line.split("\t") for line in lines if line.strip()], np.float64)
    assert np.allclose(vectors, np.stack([row.vector for row in kept]), rtol=1e-6, atol=0)
    header, *names = [line.split("\t") for line in _lines(outcome.path / "metadata.tsv")]
    assert header[:3] == ["label", "id", "path"]
    assert [int(line[1]) for line in names] == [row.item.id for row in kept]
    assert {len(line) for line in names} == {len(header)}
    assert names[3][header.index("text")] == NASTY_TEXT.translate({9: " ", 10: " ", 13: " "})
    config = json.loads((outcome.path / "config.json").read_text())["embeddings"][0]
    assert config["tensorShape"] == [len(kept), 12]
    assert (config["tensorPath"], config["metadataPath"]) == ("vectors.tsv", "metadata.tsv")
    sprite, tile = Image.open(outcome.path / config["sprite"]["imagePath"]), config["sprite"]["singleImageDim"][0]
    assert sprite.size == (3 * tile, 3 * tile)
    colours = [sprite.getpixel((place % 3 * tile + tile // 2, place // 3 * tile + tile // 2)) for place in range(5)]
    assert colours[0] == pytest.approx(RED, abs=6)
    assert colours[1] == pytest.approx(GREEN, abs=6)
    assert colours[2] != colours[3] == colours[4]


def _lines(file: Path) -> list[str]:
    """Lines as the projector splits them: at line feeds alone."""
    lines = file.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    return lines


def test_the_projector_of_tensorboard_finds_the_same_files_in_its_own_config(run):
    folder = run("projector").path
    told = (folder / "projector_config.pbtxt").read_text(encoding="utf-8")
    assert told.startswith("embeddings {\n")
    assert told.endswith("}\n")
    assert f"tensor_name: {json.dumps(SPACE, ensure_ascii=False)}\n" in told
    assert 'tensor_path: "vectors.tsv"' in told
    assert 'sprite { image_path: "sprite.png" single_image_dim: 64 single_image_dim: 64 }' in told


def test_the_projector_needs_vectors_and_shows_no_thumbnails_of_texts_alone(run, rows, tmp_path):
    with pytest.raises(ExportError, match="None of these items has a vector"):
        run("projector", rows[6:7])
    assert os.listdir(tmp_path / "out") == []
    assert "sprite.png" not in os.listdir(run("projector", rows[3:5]).path)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 100, 16_384, 16_385, 65_536, 1_000_000])
def test_thumbnails_fit_into_a_square_that_the_projector_takes(count):
    side, tile = tiles_a_side(count), tile_pixels(count)
    assert side * side >= count > (side - 1) ** 2
    assert side * tile <= SPRITE_PIXELS
    assert tile == 64 if count <= 16_384 else tile >= 8


def test_media_are_copied_into_a_folder_for_each_tag(run, rows):
    outcome = run("media")
    found = {path.relative_to(outcome.path).as_posix(): path for path in outcome.path.rglob("*") if path.is_file()}
    odd, bad = "tab_ new_line _q_ 😀.png", "bad-__.png"
    if os.name == "posix":
        assert found["=tag/" + odd].read_bytes() == rows[0].item.path.read_bytes()
    if sys.platform == "linux":
        assert set(found) == {
            "=tag/" + odd, "b_c (2)/" + odd, "b_c (2)/=sound.wav", "b_c (3)/t passage 1.txt", "B_C/t passage 1.txt",
            "untagged/" + bad, "untagged/empty.txt", "untagged/film frame 1.000 s.png", "untagged/film sound.wav"}
    assert outcome.problems == ((rows[5].item.path, "The file is not there."),)
    assert outcome.count == len(rows) - 1
    texts = [path.read_bytes() for name, path in found.items() if name.endswith("t passage 1.txt")]
    assert texts == [NASTY_TEXT.encode()] * 2
    with Image.open(found["untagged/film frame 1.000 s.png"]) as frame:
        assert frame.format == "PNG"
    assert soundfile.info(found["untagged/film sound.wav"]).frames == 16_000


def test_media_of_one_name_and_different_content_both_stay(run, tmp_path):
    paths = []
    for folder, colour in (("a", RED), ("b", BLUE), ("c", GREEN)):
        (tmp_path / folder).mkdir()
        paths.append(_picture(tmp_path / folder / ("photo.png" if folder < "c" else "PHOTO.png"), colour))
    chosen = [Exported(_item(number, path, tags=("x",))) for number, path in enumerate(paths)]
    outcome = run("media", chosen)
    assert sorted(os.listdir(outcome.path / "x")) == ["PHOTO (3).png", "photo (2).png", "photo.png"]
    assert (outcome.path / "x" / "photo (2).png").read_bytes() == paths[1].read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="a pipe")
def test_a_pipe_in_place_of_a_file_is_listed_and_never_waited_for(run, rows, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    outcome = run("media", [Exported(_item(1, tmp_path / "pipe.png")), rows[0]])
    assert outcome.count == 1
    assert "a pipe" in outcome.problems[0][1]


# ---- names and columns ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [
    "..", ".", "", " ", "../../etc/passwd", "a/b\\c", "CON", "con.txt", "LPT1.tar.gz", "aux ", "nul.", "name. . ",
    "a\0b", "a:b", "\u202egpj.exe", os.fsdecode(b"\xff\xfe"), "x" * 400 + ".png", "é" * 300, "y." + "z" * 300, "\ud800",
    "*?<>|\""])
def test_every_name_becomes_one_that_all_systems_take(name):
    safe = safe_name(name, "fallback")
    assert safe
    assert len(safe.encode()) <= LONGEST_BYTES
    assert safe == safe.strip().rstrip(".")
    assert not set(safe) & set('<>:"/\\|?*\0\u202e')
    assert not reserved(safe)
    assert safe_name(safe, "fallback") == safe


def test_names_that_some_system_takes_for_one_get_numbers():
    names = Names()
    given = [names.give(name, content)[0] for name, content in
             [("a.png", "1"), ("A.PNG", "2"), ("a.png", "3"), ("a (2).png", "4"), ("é", "5"), ("e\u0301", "6")]]
    assert len({name.casefold() for name in given}) == len(given)
    assert given[:3] == ["a.png", "A (2).PNG", "a (3).png"]
    assert names.give("a.png", "3") == ("a (3).png", False)


def test_a_column_never_takes_the_name_of_another_one(run):
    facts = {"text": 1.0, "": 2.0, "vector": 3.0, "Width": 4.0}
    free = {"fact_text": "a", "width": "b", "id": "c", "embedding": "d"}
    table = pq.read_table(run("parquet", [Exported(_item(1, "/a.png", facts=facts, columns=free))]).path)
    names = [name.casefold() for name in table.column_names]
    assert len(set(names)) == len(names)
    read = table.to_pylist()[0]
    assert [read[name] for name in ("fact_text", "fact_", "fact_vector", "Width")] == [1.0, 2.0, 3.0, 4.0]
    assert [read[f"column_{name}"] for name in ("fact_text", "width", "id", "embedding")] == list("abcd")


def test_lone_surrogates_in_texts_do_not_stop_an_export(run, tmp_path):
    item = _item(1, "/t.txt", "text", text="half \ud83d of one", tags=("\udcff",), columns={"\ud800": "\ud800"})
    row = Exported(item, np.ones(3, np.float32))
    for kind in KINDS:
        outcome = run(kind, [row])
        assert outcome.count == 1
        shutil.rmtree(tmp_path / "out")


# ---- whole or not at all --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_closing_an_export_at_any_step_leaves_nothing(kind, rows, tmp_path):
    (tmp_path / "out").mkdir()
    target, steps = tmp_path / "out" / "result", 0
    while True:
        work = export(rows, target, KINDS[kind], SPACE, _preview)
        try:
            for _ in range(steps + 1):
                next(work)
        except StopIteration:
            break
        work.close()
        assert os.listdir(tmp_path / "out") == []
        steps += 1
    assert steps >= 2
    assert target.exists()


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_replaced_whole_and_kept_where_the_export_fails(kind, rows, tmp_path, monkeypatch):
    target = tmp_path / "result"
    target.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full_disk)
        with pytest.raises(ExportError, match="no room left") as caught:
            finish(export(rows, target, KINDS[kind], SPACE, _preview))
    assert caught.value.path == str(target)
    assert target.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["media", "result"]
    finish(export(rows, target, KINDS[kind], SPACE, _preview))
    assert target.read_bytes() != b"before"


def test_one_whole_file_is_written_or_what_was_there_stays(tmp_path, monkeypatch):
    target = tmp_path / "result"
    assert written(target, b"before") == target
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full_disk)
        with pytest.raises(ExportError, match="no room left"):
            written(target, b"after")
    assert [(name, (tmp_path / name).read_bytes()) for name in os.listdir(tmp_path)] == [("result", b"before")]
    with pytest.raises(ExportError, match="is a folder"):
        written(tmp_path, b"after")


def _full_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
def test_a_disk_that_takes_no_more_is_a_clear_error_and_leaves_nothing(tmp_path):
    """Really refused by the system: no file of this process may grow beyond 2,000 bytes."""
    script = f"""
import os, resource
import numpy as np
from pathlib import Path
from mmstudio.exports import KINDS, Exported, ExportError, export
from mmstudio.library import Item
from mmstudio.progress import finish
folder = Path({str(tmp_path)!r})
text = "".join(map(chr, np.random.default_rng(0).integers(32, 0x2fff, 20_000)))
rows = [Exported(Item(id=i, path=folder / "t", part="", modality="text", content_hash=str(i), text=text),
                 np.random.default_rng(i).normal(size=999).astype(np.float32)) for i in range(3)]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for kind in KINDS.values():
    try:
        finish(export(rows, folder / "out", kind, "space", lambda item: b""))
        print(kind.id, "went through")
    except ExportError as error:
        print(kind.id, error, os.listdir(folder))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    told = "The file would grow larger than this disk allows. []"
    assert done.stdout.splitlines() == [f"{kind} {told}" for kind in KINDS]
    assert done.stderr == ""


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A folder that this process may look into but not write to, also where the tests run as root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="permissions")
@pytest.mark.parametrize("kind", ["csv", "npz", "projector"])
def test_a_folder_that_may_not_be_written_to_is_a_clear_error(kind, forbidden):
    row = Exported(_item(1, "/t.txt", "text", text="a"), np.ones(3, np.float32))
    with pytest.raises(ExportError, match="no permission to write"):
        finish(export([row], forbidden / "result", KINDS[kind], SPACE, _preview))
    with pytest.raises(ExportError, match="no permission to write"):
        written(forbidden / "result", b"")
    assert os.listdir(forbidden) == []


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_holds_something_is_refused_and_an_empty_one_is_taken(kind, rows, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "precious").touch()
    with pytest.raises(ExportError, match="not empty"):
        finish(export(rows, target, KINDS[kind], SPACE, _preview))
    with pytest.raises(ExportError, match="is a file"):
        finish(export(rows, target / "precious", KINDS[kind], SPACE, _preview))
    assert os.listdir(target) == ["precious"]
    (target / "precious").unlink()
    assert finish(export(rows, target, KINDS[kind], SPACE, _preview)).path == target
    assert os.listdir(target)


@pytest.mark.parametrize("kind", FILES)
def test_a_folder_in_place_of_a_file_is_refused(kind, rows, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        finish(export(rows, tmp_path / "out", KINDS[kind], SPACE, _preview))


def test_what_cannot_be_exported_is_refused_in_a_sentence(rows, tmp_path):
    def refused(chosen: list[Exported], target: Path, kind: str | None, told: str) -> None:
        with pytest.raises(ExportError, match=told):
            finish(export(chosen, target, kind and KINDS[kind], SPACE, _preview))

    refused([], tmp_path / "a.csv", "csv", "Nothing is selected")
    refused(rows, tmp_path / "nowhere" / "a.csv", "csv", "no folder")
    refused(rows, tmp_path / "a\0.csv", "csv", "No file can have this name")
    refused(rows, tmp_path / "a.xlsx", None, r"a\.xlsx.*\.parquet, \.csv, \.jsonl, \.npz")
    refused([*rows, Exported(_item(1, "/a"), np.ones(3, np.float32))], tmp_path / "a.csv", "csv", "not of one length")
    assert os.listdir(tmp_path) == ["media"]


def test_the_ending_says_the_kind(rows, tmp_path):
    assert [kind_of(Path(f"x{kind.suffix}")) for kind in KINDS.values() if not kind.is_folder] == [
        KINDS[kind] for kind in FILES]
    finish(export(rows, tmp_path / "a.CSV", None, SPACE, _preview))
    assert (tmp_path / "a.CSV").read_bytes().startswith(b"id,path")


@pytest.mark.skipif(os.name != "posix", reason="the mask of a process")
def test_others_may_read_an_export_as_any_other_file(run, tmp_path):
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    assert run("csv").path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert run("projector").path.stat().st_mode == (tmp_path / "folder").stat().st_mode
