"""A finished run as a folder that other programs, and other people's studios, read."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio.errors import TrainingError
from mmstudio.progress import Progress, Work
from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import TUNED
from mmstudio.training.runs import Run

if TYPE_CHECKING:
    from torch import nn

    from mmstudio.training.learner import Learner


@dataclass(frozen=True)
class ExportReport:
    """What was written into ``folder`` (folders in it end with “/”), and in sentences what was left out and why."""

    folder: Path
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def export_run(run_folder: Path, out: Path) -> Work[ExportReport]:
    """Write a finished run's weights, its job, a model card, its head as ONNX, and a tuned encoder into ``out``, which
    does not exist yet; closed or failed, it leaves nothing.

    Raises TrainingError where the run has not finished, ``out`` is there already or cannot be written, or ONNX gives
    other numbers than torch, or for a baseline; EncoderError where the run's encoder is not here.
    """
    run = runs.look(run_folder)
    if run.beside is not None:
        raise TrainingError("A baseline has no weights to be written.", path=run_folder, hint="Take the run beside it.")
    if not run.results:
        raise TrainingError("The run has not finished.", path=run_folder, hint="Let it train to its end.")
    with _whole(out) as beside:
        yield Progress(0, 4, "model.safetensors")
        export = _Export(run, beside)
        for done, (text, write) in enumerate(export.steps(), 1):
            yield Progress(done, 4, text)
            write()
        report = ExportReport(out, tuple(export.files), tuple(export.left_out))
        yield Progress(4, 4, out.name)
    return report


class _Export:
    """One run on its way into ``folder``; its weights and its job are there from the beginning."""

    def __init__(self, run: Run, folder: Path) -> None:
        from mmstudio.training import exported, interpolation
        from mmstudio.training.learner import Whole, learn_from

        self.run, self.folder, self.job = run, folder, run.job
        self.examples = Examples.load(run.folder / "examples")
        self.share = runs.share_of(run.folder)
        self.learner = _learner(run, self.examples)
        model = self.learner.model
        try:
            weights = interpolation.load(run.folder)
            learn_from(model, weights)
        except (OSError, RuntimeError, ValueError) as error:
            raise TrainingError(f"The run's weights cannot be read ({error}).", path=run.folder) from error
        dim = model.towers.dim if isinstance(model, Whole) else int(self.examples.vectors.shape[2])
        how = run.deciding
        self.recipe = exported.Recipe(dim, self.examples.words, self.learner.middle, self.learner.spread,
                                      how.temperature, how.thresholds, how.asked)
        self.files = [exported.WEIGHTS, "job.json"]
        self.left_out: list[str] = []
        exported.save(folder / exported.WEIGHTS, weights, self.examples.anchors, self.recipe)
        shutil.copyfile(run.folder / "job.json", folder / "job.json")

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What else is written, the card last: it tells of all."""
        yield "head.onnx", self._head
        if self.job.trains in TUNED:
            yield "encoder", self._encoder
        yield "README.md", self._card

    def _head(self) -> None:
        from mmstudio.training import exported, onnx_head
        from mmstudio.training.learner import head_of

        if not exported.reads_vectors(self.job):
            self.left_out.append("There is no head.onnx: the run has no head that reads vectors.")
        elif self.job.task == "captioning":
            self.left_out.append("There is no head.onnx: a caption is told word after word.")
        elif not onnx_head.is_possible():
            self.left_out.append("There is no head.onnx: install mmstudio[onnx] for it.")
        else:
            head: nn.Module = exported.Tells(head_of(self.learner.model))
            m, dim = len(self.job.modalities), self.recipe.dim
            vectors: dict[str, tuple[int, ...]] = {"vectors": (m, dim)}
            if self.job.models:
                head = exported.TellsApart(head)
                widths = zip(self.job.modalities, self.job.widths(dim), strict=True)
                vectors = {modality: (width,) for modality, width in widths}
            onnx_head.write(head, m, vectors, self.folder / "head.onnx")
            self.files.append("head.onnx")

    def _encoder(self) -> None:
        from mmstudio.encoders.hf import HubEncoder
        from mmstudio.training import tuned_encoder
        from mmstudio.training.learner import Whole

        assert isinstance(self.learner.model, Whole)
        encoder = self.learner.model.towers.reads
        if self.job.trains == "lora":
            if isinstance(encoder, HubEncoder):
                tuned_encoder.write_additions(encoder, self.job, self.folder / "adapter")
                self.files.append("adapter/")
            tuned_encoder.merge(encoder.model)
        tuned_encoder.write(encoder, self.folder / "encoder")
        self.files.append("encoder/")
        self._encoder_as_onnx(encoder)

    def _encoder_as_onnx(self, encoder: Any) -> None:
        from mmstudio.encoders.hf import HubEncoder
        from mmstudio.training import onnx_encoder, onnx_head, onnx_hub

        if not onnx_head.is_possible():
            self.left_out.append("There is no ONNX of the encoder: install mmstudio[onnx] for it.")
            return
        for modality in self.job.modalities:
            name = f"encoder-{modality}.onnx"
            if not isinstance(encoder, HubEncoder):
                onnx_encoder.write(encoder.model.eval(), modality, self.folder / name)
            else:
                try:
                    onnx_hub.write(encoder, modality, self.folder / name)
                except TrainingError as error:  # its folder can be read all the same
                    self.left_out.append(f"There is no {name}. {error}")
                    continue
            self.files.append(name)

    def _card(self) -> None:
        from mmstudio.training.model_card import card

        text = card(self.run, self.examples, self.share, self.recipe, self.files)
        (self.folder / "README.md").write_text(text, encoding="utf-8")
        self.files.append("README.md")


def _learner(run: Run, examples: Examples) -> Learner:
    import torch

    from mmstudio.training.learner import Learner

    learner = Learner(run.job, examples, torch.device("cpu"))
    if learner.feed is not None:
        learner.feed.close()
    learner.model.eval()
    return learner


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its name once everything in it is on the disk; else it is removed."""
    from safetensors import SafetensorError

    if os.path.lexists(out):
        raise TrainingError(f"“{out.name}” is there already.", path=out, hint="Choose a new folder.")
    beside = out.with_name(f".{secrets.token_hex(6)}.part")
    try:
        beside.mkdir()
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as written:
                    os.fsync(written.fileno())
        beside.rename(out)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"The run could not be written ({error}).", path=out,
                            hint="Free some space, or choose another folder.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
