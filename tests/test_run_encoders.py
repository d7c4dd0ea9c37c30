"""A finished run reads a project like any other encoder, and files are predicted by the sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudio import cli
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import ModelNotFound, TrainingError, WrongModality
from mmstudio.progress import finish
from mmstudio.project import Project, space_key
from mmstudio.training.examples import Examples
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.rehearsing import rehearsed

Make = Callable[..., Path]
COLOURS = ("red", "blue", "green", "yellow")
SPLIT = Split("random", keep_duplicates_together=False)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def project(tmp_path: Path, make_picture: Make, starter: Encoder, pool: ThreadPoolExecutor) -> Project:
    """24 discs of four colours, each in a sample with what it is."""
    for number in range(24):
        picture = make_picture(f"in/{number}.png", COLOURS[number % 4], 40 + 2 * number)
        picture.with_suffix(".txt").write_text(f"a {COLOURS[number % 4]} disc, number {number}", encoding="utf-8")
    made = Project.open(tmp_path / "p")
    finish(made.add([tmp_path / "in"], pool))
    finish(made.encode(starter, pool))
    for item in made.items().values():
        made.set_column([item.id], "colour", COLOURS[int(item.path.stem) % 4])
    return made


def learned(project: Project, starter: Encoder, **changes: Any) -> Path:
    settings: dict[str, Any] = {"modalities": ("image", "text"), "epochs": 3, "batch": 8, "patience": 0,
                                "split": SPLIT} | changes
    folder = finish(project.make_run(TrainingJob(**settings), starter))
    finish(train(folder))
    return folder


@pytest.mark.parametrize(("changes", "dim"), [
    ({"task": "alignment", "width": 24}, 24),
    ({"task": "alignment", "trains": "locked text", "encoder_lr": 1e-3}, 384),
    ({"task": "alignment", "trains": "scratch", "width": 32}, 32),
    ({"target": "colour", "trains": "last blocks", "fusion": "gated"}, 384),
])
def test_a_run_reads_the_project_anew_and_its_vectors_stay_apart(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor, changes: dict[str, Any], dim: int,
) -> None:
    learned(project, starter, **changes)
    encoder = project.load_encoder("run:0001", "cpu")
    assert (encoder.space, encoder.dim, encoder.modalities) == ("run:0001", dim, {"image", "text"})
    report = finish(project.encode(encoder, pool))
    assert report.encoded == len(project.items())
    view = project.vectors(encoder)
    assert view.vectors.shape == (len(project.items()), dim)
    assert np.allclose(np.linalg.norm(view.vectors, axis=1), 1, atol=1e-3)
    assert space_key(encoder) != space_key(starter)
    told = encode(encoder, ["a red disc"], "text")
    again = encode(project.load_encoder("run:0001", "cpu"), ["a red disc", "a much longer text about a disc"], "text")
    assert np.abs(told[0] - again[0]).max() < 1e-5
    explained = encoder.explain("a red disc", "text")
    assert np.abs(explained.vector - told[0]).max() < 1e-5
    with pytest.raises(WrongModality):
        encoder.prepare(None, "audio")  # type: ignore[arg-type]


def test_a_run_without_a_space_or_one_that_is_not_there_is_no_encoder(project: Project, starter: Encoder) -> None:
    learned(project, starter, target="colour")
    with pytest.raises(TrainingError, match="no space"):
        project.load_encoder("run:0001")
    with pytest.raises(ModelNotFound, match="run:0009"):
        project.load_encoder("run:0009")


def test_a_head_learns_on_a_runs_vectors_but_its_encoder_is_not_trained_again(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor,
) -> None:
    learned(project, starter, task="alignment", width=24)
    encoder = project.load_encoder("run:0001", "cpu")
    finish(project.encode(encoder, pool))
    folder = learned(project, encoder, target="colour", epochs=20)
    assert Examples.load(folder / "examples").vectors.shape[2] == 24
    for job in (TrainingJob(target="colour", trains="lora"), TrainingJob(target="colour", fusion="tokens")):
        with pytest.raises(TrainingError, match="another run became"):
            finish(project.make_run(job, encoder))
    assert len(list(project.runs.iterdir())) == 2


def test_captions_are_learned_from_samples_and_told_of_pictures(project: Project, starter: Encoder) -> None:
    folder = learned(project, starter, task="captioning", modalities=("image",), epochs=25, width=48, lr=5e-3)
    examples = Examples.load(folder / "examples")
    assert len(examples) == 24
    assert "disc" in examples.words
    changed = finish(project.predict(folder, starter))
    told = [project.item(i).columns["predicted caption"] for i in changed]
    assert len(told) == 24
    assert sum(str(text).startswith("a ") for text in told) > 20


def test_an_adapter_needs_a_model_that_reads_texts_and_knows_the_classes_names(
    project: Project, starter: Encoder,
) -> None:
    folder = learned(project, starter, target="colour", modalities=("image",), trains="clip adapter",
                     prompt="a {} disc", epochs=10)
    anchors = Examples.load(folder / "examples").anchors
    names = [f"a {name} disc" for name in json.loads((folder / "job.json").read_text())["classes"]]
    assert anchors is not None
    assert np.allclose(anchors, encode(starter, names, "text"), atol=1e-5)


def test_files_that_are_called_alike_are_predicted_as_one_sample(
    project: Project, starter: Encoder, tmp_path: Path, make_picture: Make,
) -> None:
    folder = learned(project, starter, target="colour", trains="last blocks", fusion="concatenate", epochs=4)
    project.close()
    for name, colour, text in (("one", "red", "a blue disc"), ("two", "blue", "a blue disc")):
        make_picture(f"new/{name}.png", colour, 50).with_suffix(".txt").write_text(text, encoding="utf-8")
    (tmp_path / "new" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    out = tmp_path / "told.jsonl"
    assert cli.main(["predict", str(folder), str(tmp_path / "new"), "--out", str(out)]) == 1
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    told = {Path(row["path"]).name: row for row in rows}
    assert told["one.png"]["shares"] == told["one.txt"]["shares"] != told["two.png"]["shares"]
    assert told["broken.png"]["error"]


def test_a_rehearsal_tells_time_memory_and_the_first_batch_and_leaves_nothing(
    project: Project, starter: Encoder,
) -> None:
    job = TrainingJob(target="colour", modalities=("image", "text"), trains="last blocks", fusion="gated", epochs=5,
                      batch=8, split=SPLIT)
    before = {path.name for path in project.folder.iterdir()}
    told = finish(rehearsed(finish(project.make_rehearsal(job, starter))))
    assert told.steps == 5 * -(-told.parts["train"] // 8)
    assert sum(told.parts.values()) == 24
    assert told.seconds > told.steps * told.seconds_per_step > 0
    assert 0 < told.learning < told.weights
    assert told.memory_bytes > 100e6
    assert {one["told"] for one in told.batch} <= set(COLOURS)
    assert all(one["sees"] == ["image", "text"] for one in told.batch)
    assert {path.name for path in project.folder.iterdir()} == before
    lora = TrainingJob(target="colour", trains="lora", split=SPLIT)
    folder = finish(project.make_rehearsal(lora, _Broken(starter)))
    with pytest.raises(TrainingError, match="trial failed"):
        finish(rehearsed(folder))


class _Broken:
    """A model whose name no process can load."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.name = "/no/such/model"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)
