"""The training loop: steps, validation, checkpoints, and obedience to what the person wishes meanwhile.

Everything that decides the next step is in a checkpoint or follows from the job's seed, so that a run which was killed
goes on as if nothing had happened. With several processes each takes a share of every step's rows.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.progress import Progress, Work
from mmstudio.training import checkpoint, measured, runs
from mmstudio.training.checkpoint import Place
from mmstudio.training.examples import TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob, read
from mmstudio.training.learner import Learner

LINES_OF_A_CURVE = 20_000
"""A run with more steps tells only some of them."""
LOOK_SECONDS, CHECKPOINT_SECONDS, TELL_SECONDS = 0.05, 20.0, 0.5


def train(folder: Path) -> Work[dict[str, Any]]:
    """Train the run of a folder, from its checkpoint where it has one, and give its results.

    Raises TrainingError; the run's state says why. Closing stops it at a checkpoint.
    """
    with _one_thread(), runs.held(folder) if runs.is_first() else contextlib.nullcontext():
        try:
            job, examples = read(folder / "job.json"), Examples.load(folder / "examples")
            accelerator = Accelerator(
                mixed_precision={"fp32": "no"}.get(job.precision, job.precision),
                kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
            training = _Training(job, examples, folder, accelerator)
        except Exception as error:
            runs.fail(folder, str(error))
            raise
        try:
            return (yield from training.run())
        except GeneratorExit:
            training.stop("stopped")
            raise
        except TrainingError as error:
            training.fail(str(error))
            raise
        except Exception as error:
            training.fail(f"Something unexpected happened ({type(error).__name__}: {error}).")
            raise


class _Training:
    def __init__(self, job: TrainingJob, examples: Examples, folder: Path, accelerator: Accelerator) -> None:
        self.job, self.examples, self.folder, self.accelerator = job, examples, folder, accelerator
        torch.manual_seed(job.seed)
        if job.deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
        self.learner = Learner(job, examples, accelerator.device)
        optimizer = torch.optim.AdamW(self.learner.model.parameters(), lr=job.lr, weight_decay=job.weight_decay)
        self.model, self.optimizer = accelerator.prepare(self.learner.model, optimizer)
        self.inner = accelerator.unwrap_model(self.model)
        self.rows = torch.as_tensor(examples.rows(TRAIN), device=accelerator.device)
        self.validation = examples.rows(VALIDATION)
        self.batch = job.batch * job.accumulation
        self.per_epoch = math.ceil(len(self.rows) / self.batch)
        self.steps = self.per_epoch * job.epochs
        self.every = max(1, self.steps // LINES_OF_A_CURVE)
        self.place = Place(micro=job.batch)
        self.averaged: dict[str, Tensor] = {}
        self.state = runs.State("running", 0, self.steps, started=time.time(), fingerprint=examples.fingerprint(),
                                versions=_versions())
        self.lines: runs.Lines | None = None
        self._obeyed_stop = False
        self.began = self.looked = self.kept = self.told = time.monotonic()
        if not len(self.rows):
            raise TrainingError("There is nothing to learn from.", hint="Give more examples their class.")

    # ---- the whole ----------------------------------------------------------------------------------------------

    def run(self) -> Work[dict[str, Any]]:
        """Epochs until the last, or until none was better for long enough; then the best is measured."""
        self._resume()
        self._tell("running")
        while self.place.epoch < self.job.epochs and not self._has_settled:
            yield from self._epoch()
            if self._obeyed_stop:
                self.stop("stopped")
                return {}
            self._validate()
            self.place.epoch, self.place.batch = self.place.epoch + 1, 0
            self._checkpoint()
        return self._finish()

    @property
    def _has_settled(self) -> bool:
        """Whether no epoch was better for long enough."""
        return bool(self.job.patience) and self.place.worse >= self.job.patience

    def _epoch(self) -> Work[None]:
        order = self.order(self.place.epoch)
        while self.place.batch < self.per_epoch:
            start = self.place.batch * self.batch
            tell = self.step(order[start : start + self.batch])
            self.place.batch += 1
            if self.place.step % self.every == 0 or self.place.batch == self.per_epoch:
                self._line(tell)
            if time.monotonic() - self.looked > LOOK_SECONDS:
                self.looked = time.monotonic()
                yield Progress(self.place.step, self.steps, f"epoch {self.place.epoch + 1}")
                if (yield from self._obey()):
                    self._obeyed_stop = True
                    return
                if time.monotonic() - self.kept > CHECKPOINT_SECONDS:
                    self._checkpoint()

    def order(self, epoch: int) -> Tensor:
        """The rows of an epoch, shuffled by the seed and the epoch alone; drawn by their class's weight where the job
        resamples.
        """
        generator = torch.Generator().manual_seed(self.job.seed * 1_000_003 + epoch)
        if self.job.resampling and self.job.task == "classification":
            classes = self.learner.targets[self.rows].cpu()
            counts = torch.bincount(classes, minlength=len(self.job.classes)).clamp_min(1)
            drawn = torch.multinomial(1.0 / counts[classes], len(self.rows), replacement=True, generator=generator)
        else:
            drawn = torch.randperm(len(self.rows), generator=generator)
        return self.rows[drawn.to(self.rows.device)]

    # ---- one step -----------------------------------------------------------------------------------------------

    def step(self, rows: Tensor) -> dict[str, Any]:
        """Learn from ``rows (b,)``; where memory does not suffice, in smaller parts. Gives what to tell."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.lr * self._rate(self.place.step)
        whole_present = self._seen(rows)
        while True:
            try:
                loss, tell = self._accumulated(rows, whole_present)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error) or self.place.micro <= 1:
                    raise
                self.place.micro = max(1, self.place.micro // 2)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        if not math.isfinite(loss):
            self.state = replace(self.state, failed_keys=tuple(self.examples.keys[rows.cpu().numpy()].tolist()))
            raise TrainingError(f"The loss was {loss} at step {self.place.step + 1}.",
                                hint="Try a lower learning rate or a smaller clip; the batch's items are in the run.")
        if "sure" in tell:
            tell["balance"] = self.learner.balance(self.model, tell.pop("sure"))
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.job.clip or math.inf)
        self.optimizer.step()
        self._average()
        self.place.step += 1
        return {"loss": tell.pop("plain"), "lr": self.optimizer.param_groups[0]["lr"], "norm": float(norm), **tell}

    def _accumulated(self, rows: Tensor, whole_present: Tensor) -> tuple[float, dict[str, Any]]:
        self.optimizer.zero_grad()
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        pairs = self.job.task == "alignment"  # each process takes all: a pair's strangers are the whole batch
        mine = torch.arange(len(rows), device=rows.device) if pairs else torch.arange(
            rank, len(rows), world, device=rows.device)
        chunks = [mine] if pairs else list(torch.split(mine, self.place.micro)) or [mine]
        total, tells = 0.0, list[dict[str, Any]]()
        for number, chunk in enumerate(chunks):
            last = number == len(chunks) - 1
            with contextlib.nullcontext() if last or world == 1 else self.accelerator.no_sync(self.model), \
                    self.accelerator.autocast():
                loss, tell = self.learner.loss(self.model, rows[chunk], rows, whole_present[chunk], whole_present)
                self.accelerator.backward(loss * (1 if pairs else world))
            total += float(loss.detach())
            tells.append(tell)
        made = _merged(tells)
        if world > 1 and not pairs:
            both = torch.tensor([total, made["plain"]], dtype=torch.float64, device=rows.device)
            total, made["plain"] = self.accelerator.reduce(both, "sum").tolist()
        return total, made

    def _seen(self, rows: Tensor) -> Tensor:
        """``(b, m)``: what is there and not left out to learn to do without it; one modality always stays."""
        present = self.learner.present[rows]
        if self.job.modality_dropout and present.shape[1] > 1:
            generator = torch.Generator().manual_seed(self.job.seed * 7_919 + self.place.step)
            kept = torch.rand(present.shape, generator=generator).to(rows.device) >= self.job.modality_dropout
            left = present & kept
            present = torch.where(left.any(1, keepdim=True), left, present)
        return present

    def _rate(self, step: int) -> float:
        """Linear warm-up, then a cosine to nothing."""
        warm = self.job.warmup * self.steps
        if step < warm:
            return (step + 1) / max(1.0, warm)
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, self.steps - warm)))

    def _average(self) -> None:
        if not self.job.ema:
            return
        decay = min(self.job.ema, (1 + self.place.step) / (10 + self.place.step))
        with torch.no_grad():
            for name, value in self.inner.state_dict().items():
                if name in self.averaged:
                    self.averaged[name].lerp_(value, 1 - decay)
                else:
                    self.averaged[name] = value.detach().clone()

    # ---- looking on ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The averaged weights, where the job wants them, as long as one looks."""
        if not self.averaged:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.inner.state_dict().items()}
        self.inner.load_state_dict(self.averaged)
        try:
            yield
        finally:
            self.inner.load_state_dict(own)

    def _validate(self) -> None:
        rows = self.validation if len(self.validation) else self.examples.rows(TRAIN)
        with self._averaged_weights():
            found = self._measured(rows)
            if "loss" not in found:  # no two pairs are held out
                found = self._measured(self.examples.rows(TRAIN))
            loss = found.get("loss", 0.0)
            better = loss < self.place.best - 1e-9
            if better and self.accelerator.is_main_process:
                _save_weights(self.inner, self.folder)
        if better:
            self.place.best, self.place.best_epoch, self.place.worse = loss, self.place.epoch, 0
        else:
            self.place.worse += 1
        if self.lines:
            self.lines.add({"step": self.place.step, "epoch": self.place.epoch + 1, "validation": found})
            self.lines.flush()

    def _measured(self, rows: NDArray[np.int64]) -> dict[str, float]:
        together, _ = self.learner.outputs(self.inner, rows)
        return measured.measured(self.job, together, self.examples, rows)

    def _finish(self) -> dict[str, Any]:
        """Measure the best weights on every part, with and without each modality."""
        results: dict[str, Any] = {}
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if (self.folder / "best.safetensors").is_file():
                self.inner.load_state_dict(load_file(self.folder / "best.safetensors"))
            results = measured.results(self.job, self.learner, self.inner, self.examples, self.folder)
            results["best_epoch"] = self.place.best_epoch + 1
            paths.write_atomically(self.folder / "results.json", json.dumps(results).encode())
        self._tell("done")
        self._close()
        return results

    # ---- wishes, state, checkpoints -----------------------------------------------------------------------------

    def _obey(self) -> Work[bool]:
        """Wait as long as a pause is wished; True where the run shall stop."""
        wanted = runs.wished(self.folder)
        if wanted == "run":
            if time.monotonic() - self.told > TELL_SECONDS:
                self._tell("running")
            return False
        self._checkpoint()
        if wanted == "pause":
            self._tell("paused")
            while (wanted := runs.wished(self.folder)) == "pause":
                time.sleep(LOOK_SECONDS)
                yield Progress(self.place.step, self.steps, "paused")
            self.began = time.monotonic()
            self._tell("running")
        return wanted == "stop"

    def stop(self, status: runs.Status) -> None:
        """Leave at a checkpoint."""
        self._checkpoint()
        self._tell(status)
        self._close()

    def fail(self, why: str) -> None:
        self.state = replace(self.state, error=why)
        self._tell("failed")
        self._close()

    def _close(self) -> None:
        if self.lines:
            self.lines.close()
            self.lines = None

    def _line(self, tell: dict[str, Any]) -> None:
        if self.lines:
            self._count_seconds()
            self.lines.add({"step": self.place.step, "epoch": self.place.epoch + 1, **tell,
                            "seconds": round(self.place.seconds, 3)})

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.place.seconds, self.began = self.place.seconds + now - self.began, now

    def _tell(self, status: runs.Status) -> None:
        self.told = time.monotonic()
        if self.accelerator.is_main_process:
            if self.lines:
                self.lines.flush()
            self.state = replace(
                self.state, status=status, step=self.place.step, epoch=self.place.epoch, seconds=self.place.seconds,
                best=self.place.best if math.isfinite(self.place.best) else None, best_epoch=self.place.best_epoch)
            runs.tell(self.folder, self.state)

    def _checkpoint(self) -> None:
        self.kept = time.monotonic()
        if self.accelerator.is_main_process:
            self._count_seconds()
            if self.lines:
                self.lines.flush()
            parts = {"model": self.inner.state_dict(), "optimizer": self.optimizer.state_dict(),
                     "averaged": self.averaged, "scaler": self._scaler()}
            checkpoint.save(self.folder / "checkpoint.pt", self.place, parts)

    def _scaler(self) -> dict[str, Any]:
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {}

    def _resume(self) -> None:
        found = checkpoint.load(self.folder / "checkpoint.pt", self.accelerator.device)
        if found:
            self.place, parts = found
            self.inner.load_state_dict(parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            self.averaged = parts["averaged"]
            if self.accelerator.scaler is not None and parts["scaler"]:
                self.accelerator.scaler.load_state_dict(parts["scaler"])
        if self.accelerator.is_main_process:
            self.lines = runs.Lines(self.folder, self.place.step)
        self.began = time.monotonic()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A head's matrices are small: on one core they are multiplied sooner than on several that wait for each other, and
    the window keeps the rest.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _merged(tells: list[dict[str, Any]]) -> dict[str, Any]:
    """What the parts of a step tell, as one: sums of losses, means of the rest."""
    if len(tells) == 1:
        return tells[0]
    made: dict[str, Any] = {}
    for name in tells[0]:
        values = [tell[name] for tell in tells]
        if name == "plain":
            made[name] = sum(values)
        elif name == "alone":
            made[name] = {key: sum(value[key] for value in values) for key in values[0]}
        elif isinstance(values[0], dict):
            made[name] = {key: float(np.mean([value[key] for value in values])) for key in values[0]}
        else:
            made[name] = np.mean(values, 0).tolist()
    return made


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _save_weights(model: torch.nn.Module, folder: Path) -> None:
    beside = folder / "best.safetensors.tmp"
    try:
        weights = {name: value.detach().contiguous().cpu().clone() for name, value in model.state_dict().items()}
        save_file(weights, beside)
        beside.replace(folder / "best.safetensors")
    except Exception as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"The weights could not be written ({error}).", path=folder,
                            hint="Free some space and continue.") from error


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "accelerate", "mmstudio")
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
