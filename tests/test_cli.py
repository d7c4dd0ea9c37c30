"""The command line's contract: what goes where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmstudio import cli

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
    for wrong, told in ((("--out", tmp_path / "page.pdf"), "has to end in .html"),
                        (("--out", page, "--method", "magic"), "no method named"),
                        (("--out", page, "--items", tmp_path / "other.png"), "no item of this file"),
                        (("--out", page, "--filter", "tag:none"), "1 to 200")):
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
