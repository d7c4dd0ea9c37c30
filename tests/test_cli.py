"""The command line's contract: what goes where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from encoders.conftest import whisper
from PIL import Image

from mmstudio import cli
from mmstudio.project import Project

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_encode_writes_one_row_per_input_and_lists_what_it_could_not_read(
    mixed_folder: Path, tmp_path: Path, run: Run,
) -> None:
    (mixed_folder / os.fsdecode(b"bad \xff name.txt")).write_text("a bird")
    code, out, err = run("encode", mixed_folder, "--device", "cpu", "--out", tmp_path / "v.jsonl")
    assert (code, out) == (1, "")
    assert "broken.png: The picture" in err
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert len(rows) == 26
    assert [set(row) for row in rows] == [
        {"path", "part", "modality", "space", "dim", "vector", "error"}] * 26
    broken = [row for row in rows if row["error"]]
    assert len(broken) == 1
    assert broken[0]["vector"] is None
    assert all(len(row["vector"]) == row["dim"] == 384 for row in rows if not row["error"])
    assert any("bad \\xff name" in row["path"] for row in rows)


def test_all_three_formats_hold_the_same_vectors_and_the_cache_changes_nothing(
    mixed_folder: Path, tmp_path: Path, run: Run,
) -> None:
    (mixed_folder / "broken.png").unlink()
    for ending in ("jsonl", "npz", "parquet"):
        assert run("encode", mixed_folder, "--batch", 5, "--out", tmp_path / f"v.{ending}")[0] == 0
    jsonl = [json.loads(line)["vector"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    with np.load(tmp_path / "v.npz") as npz:
        assert np.allclose(npz["vector"], jsonl, atol=1e-6)
        assert set(npz["modality"]) == {"image", "audio", "text"}
    table = pq.read_table(tmp_path / "v.parquet")
    assert np.allclose(np.stack(table["vector"].to_numpy()), jsonl, atol=1e-6)
    assert table.num_rows == 24


@pytest.mark.parametrize("arguments", [
    ("encode", "x.png", "--out", "v.csv"), ("encode", "x.png", "--model", "no/such-model", "--out", "v.npz"),
    ("encode", "x.png", "--out", "/no/such/folder/v.npz"), ("search", "/no/such/project", "dog"),
    ("explain", "--item", "x.png", "--out", "x.gif"), ("explain", "--item", "/missing.png", "--out", "x.npz")])
def test_what_cannot_run_says_why_and_gives_2(arguments: tuple[str, ...], run: Run) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mmstudio: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [(), ("encode",), ("encode", "a", "--out", "b.npz", "--batch", "0"), ("fly",)])
def test_wrong_arguments_are_refused_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    assert stop.value.code == 2


def test_new_add_search_and_explain_work_together(mixed_folder: Path, tmp_path: Path, run: Run) -> None:
    project = tmp_path / "project"
    assert run("new", project)[0] == 0
    code, out, err = run("add", project, mixed_folder)
    assert code == 1
    assert out.startswith("24 added, 0 known already, 24 encoded, 0 from the cache, 1 unreadable")
    assert run("add", project, mixed_folder / "text 1.txt")[1].startswith("0 added, 1 known")
    code, out, _ = run("search", project, "a dog", "-k", 2)
    hits = [json.loads(line) for line in out.splitlines()]
    assert [h["modality"] for h in hits] == ["image"] * 2 + ["audio"] * 2 + ["text"] * 2
    assert next(h for h in hits if h["modality"] == "text")["text"] == "a dog"
    assert run("search", project, mixed_folder / "picture 0.png", "--measure", "pearson")[0] == 0
    picture = tmp_path / "why.png"
    code, _, err = run("explain", "--item", mixed_folder / "picture 0.png", "--query", "a red circle", "--out", picture)
    assert code == 0
    assert "Similarity of parts" in err
    assert picture.stat().st_size > 1000


def test_a_figure_shows_as_much_of_a_sound_as_its_model_reads(tmp_path: Path, run: Run) -> None:
    """A small Whisper reads 2 s at once, the starter 10."""
    sound, figure = tmp_path / "long.wav", tmp_path / "why.svg"
    soundfile.write(sound, 0.1 * np.sin(np.arange(12 * 16_000) / 5), 16_000)
    for model, seconds in ((whisper(tmp_path / "whisper"), "2 s"), ("starter", "10 s")):
        code, _, err = run("explain", "--item", sound, "--model", model, "--method", "attention", "--out", figure)
        assert code == 0, err
        words = [text.text for text in ElementTree.parse(figure).getroot().iter("{http://www.w3.org/2000/svg}text")]
        assert words[4] == seconds
        assert words[words.index("Item") + 1] == "long.wav"


def test_the_pointing_game_is_told_of_boxes_that_are_named_or_lie_beside_the_picture(
    make_picture: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    picture, figure = make_picture("red.png"), tmp_path / "why.npz"
    with Image.open(picture) as opened:
        width, height = opened.size
    asked = ("explain", "--item", picture, "--query", "a red circle", "--out", figure)
    assert "lies in “all”" in run(*asked, "--box", f"0,0,{width},{height},all")[2]
    assert "outside the box" in run(*asked, "--box", f"{width},0,{2 * width},{height}")[2]
    code, _, err = run(*asked, "--box", "1,2,3")
    assert code == 2
    assert "no boxes" in err
    picture.with_suffix(".json").write_text(json.dumps({"boxes": [[0, 0, width, height, "circle"]]}))
    run("add", tmp_path / "project", picture)
    page = tmp_path / "page.html"
    told = ("report", "--project", tmp_path / "project", "--query", "a red circle", "--untested")
    code, _, err = run(*told, "--out", page)
    assert code == 0, err
    assert "Pointing game: 1 of 1 on their boxes; at random 100 %" in err
    assert "The most relevant place lies in “circle”" in page.read_text()


def test_features_are_found_kept_and_listed_with_their_strongest_items(
    mixed_folder: Path, tmp_path: Path, run: Run,
) -> None:
    project = tmp_path / "project"
    run("add", project, mixed_folder)
    code, out, err = run("features", project, "--number", 8, "--each", 2, "--top", 3)
    assert code == 0, err
    assert "of what differs between the vectors is explained" in err
    found = [json.loads(line) for line in out.splitlines()]
    assert 1 < len(found) <= 8
    counts = [one["items"] for one in found]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) <= 2 * 24
    for one in found:
        strengths = [item["strength"] for item in one["strongest"]]
        assert strengths == sorted(strengths, reverse=True)
        assert 0 < len(strengths) <= min(3, one["items"])
        assert one["name"]
    assert run("features", project, "--top", 3)[1] == out  # kept
    assert len(run("features", project, "--again", "--number", 3, "--each", 1)[1].splitlines()) <= 3
    code, _, err = run("features", tmp_path / "none")
    assert code == 2


def test_report_writes_a_pdf_without_a_window_where_the_toolkit_is_there(
    make_picture: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    run("add", tmp_path / "project", make_picture("red.png"))
    pdf = tmp_path / "report.pdf"
    told = ["report", "--project", str(tmp_path / "project"), "--untested", "--out", str(pdf)]
    code, _, err = run(*told)
    assert code == 2
    assert "Write .html" in err
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "QT_QPA_PLATFORM")}
    done = subprocess.run([sys.executable, "-m", "mmstudio", *told], capture_output=True, text=True, timeout=120,
                          env=environment)
    assert done.returncode == 0, done.stderr
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert b"/Type /Page" in pdf.read_bytes()


def test_report_writes_a_page_of_what_passes_the_filter_or_of_named_files(
    make_picture: Callable[..., Path], make_sound: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    project, page, bell = tmp_path / "project", tmp_path / "page.html", make_sound("bell.wav")
    chosen = [make_picture("red.png"), tmp_path / "words.txt"]
    chosen[1].write_text("a red circle")
    run("add", project, *chosen, bell)
    code, out, err = run("report", "--project", project, "--filter", "type:audio", "--query", "a bell", "--untested",
                         "--out", page)
    assert (code, out) == (0, "")
    assert "1 items → " in err
    assert page.read_text(encoding="utf-8").count('<section class="item">') == 1
    assert "nearness to “a bell”" in page.read_text(encoding="utf-8")
    assert run("report", "--project", project, "--items", *chosen, "--method", "rollout", "--untested", "--query",
               bell, "--out", page)[0] == 0
    assert page.read_text(encoding="utf-8").count('<section class="item">') == 2
    chosen[0].unlink()
    code, _, err = run("report", "--project", project, "--items", *chosen, "--untested", "--out", page)
    assert code == 1
    assert "red.png: The file is missing." in err
    for wrong, told in ((("--out", tmp_path / "page.txt"), "has to end in .html or .pdf"),
                        (("--out", page, "--method", "magic"), "no method named"),
                        (("--out", page, "--items", tmp_path / "other.png"), "no item of this file"),
                        (("--out", page, "--filter", "tag:none"), "at least one item")):
        code, out, err = run("report", "--project", project, *wrong)
        assert (code, out) == (2, "")
        assert told in err


def test_models_lists_the_starter_as_here(run: Run) -> None:
    code, out, _ = run("models")
    assert code == 0
    first = out.splitlines()[0]
    assert first.startswith("starter ")
    assert first.rstrip().endswith("here")
    assert any("not downloaded" in line for line in out.splitlines())


def test_the_installed_command_keeps_stdout_clean(make_picture: Callable[..., Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmstudio", "encode", str(make_picture("a.png")), "--out", str(tmp_path / "v.npz")],
        capture_output=True, text=True, timeout=120, env={**os.environ, "MMSTUDIO_HOME": str(tmp_path / "home")})
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 encoded, 0 unreadable" in done.stderr


def test_every_command_is_known_where_the_window_is_decided_about() -> None:
    from mmstudio.__main__ import HEADLESS

    commands = next(action.choices for action in cli.parser()._actions if isinstance(action.choices, dict))
    assert set(commands) <= set(HEADLESS)


def _captions(path: Path, first: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"caption": [f"a picture of thing {n}" for n in range(first, first + 2)],
                             "kind": ["odd", "even"], "score": [0.5, 1.0]}), path)
    return path


def test_add_reads_tables_as_the_mapping_page_guesses_them_and_labels_what_is_known(
    make_picture: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    project, shards = tmp_path / "project", [_captions(tmp_path / f"set/train-{n}.parquet", 2 * n) for n in range(2)]
    code, out, err = run("add", project, *shards, "--role", "kind=label", "--role", "score=leave")
    assert (code, out.split(" encoded")[0]) == (0, "4 added, 0 known already, 4")
    assert "train-0.parquet and 1 more: caption=text, kind=label, score=leave" in err
    with closing(Project.open(project, read_only=True)) as opened:
        assert {(item.tags, *item.columns) for item in opened.items().values()} == {
            (("odd",), "row"), (("even",), "row")}
    for colour in ("red", "green"):
        make_picture(f"pictures/{colour}.png", colour)
    assert run("add", project, tmp_path / "pictures")[0] == 0
    (tmp_path / "labels.csv").write_text("image,label\nred.png,warm\ngreen.png,cold\n")
    code, out, _ = run("add", project, tmp_path / "labels.csv", "--media-folder", tmp_path / "pictures")
    assert code == 0
    assert out.startswith("0 added, 2 known already (2 of them with new tags or columns), ")


def test_add_reads_the_tables_of_a_folder_and_tells_which_it_cannot(
    make_picture: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    make_picture("set/red.png")
    (tmp_path / "set/metadata.csv").write_text("file_name,caption\nred.png,a red disc on white paper\n")
    (tmp_path / "set/losses.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    code, out, err = run("add", tmp_path / "project", tmp_path / "set")
    assert code == 1
    assert out.startswith("2 added, 1 known already (1 of them with new tags or columns), 2 encoded")
    assert "losses.csv: No column of the table is a picture, sound or text." in err
    assert "Its columns: epoch, loss." in err


def test_add_says_which_columns_there_are_before_it_adds_anything(tmp_path: Path, run: Run) -> None:
    table, project = _captions(tmp_path / "set/t.parquet", 0), tmp_path / "project"
    code, _, err = run("add", project, table, "--role", "title=text")
    assert code == 2
    assert "No table has a column “title”. The columns are: caption, kind, score." in err
    code, _, err = run("add", project, table, "--role", "caption=keep")
    assert code == 2
    assert "--role caption=text" in err
    (tmp_path / "set/broken.parquet").write_bytes(b"PAR1 nothing")
    code, out, err = run("add", project, tmp_path / "set/broken.parquet", table)
    assert (code, out.split(",")[0]) == (1, "2 added")
    assert "broken.parquet: " in err
    with pytest.raises(SystemExit):
        cli.main(["add", str(project), str(table), "--role", "caption=word"])


def test_add_takes_only_the_files_that_are_meant(
    make_picture: Callable[..., Path], make_sound: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    for place, colour in enumerate(("red.PNG", "green.jpg", "deep/blue.png", "deep/black.jpg")):
        make_picture(f"set/{colour}", colour.split("/")[-1].split(".")[0], 60 + place)
    make_sound("set/tone.wav")
    (tmp_path / "set/red.txt").write_text("a caption of the red one")
    (tmp_path / "set/words.txt").write_text("words of their own")
    (tmp_path / "set/broken.bin").write_bytes(bytes(range(200)) * 3)

    def names(*arguments: object) -> set[str]:
        project = tmp_path / f"project {arguments}".replace("/", "")
        assert run("add", project, tmp_path / "set", *arguments)[0] == 0
        with closing(Project.open(project, read_only=True)) as opened:
            return {item.text or item.path.name for item in opened.items().values()}

    caption = "a caption of the red one"
    assert names("--only", "image") == {"red.PNG", "green.jpg", "blue.png", "black.jpg", caption}
    assert names("--only", "audio,text") == {"tone.wav", "words of their own"}
    assert names("--match", "*.png") == {"red.PNG", "blue.png", caption}
    assert names("--match", "*.jpg", "--no-subfolders") == {"green.jpg"}
    with pytest.raises(SystemExit):
        cli.main(["add", str(tmp_path / "p"), str(tmp_path / "set"), "--only", "smell"])


def test_a_project_saved_as_a_file_says_what_lies_outside_and_takes_it_along(
    make_picture: Callable[..., Path], tmp_path: Path, run: Run,
) -> None:
    picture, project = make_picture("set/a.png"), tmp_path / "project"
    assert run("add", project, picture)[0] == 0
    code, _, err = run("project", "export", project, tmp_path / "without.mmproject")
    assert code == 0
    assert "1 files lie outside the project and were left out" in err
    assert "were taken along" in run("project", "export", project, tmp_path / "with.mmproject", "--with-media")[2]
    bytes_before = picture.read_bytes()
    picture.unlink()
    assert run("project", "import", tmp_path / "with.mmproject", tmp_path / "there")[0] == 0
    with closing(Project.open(tmp_path / "there")) as opened:
        assert [item.path.read_bytes() for item in opened.items().values()] == [bytes_before]
