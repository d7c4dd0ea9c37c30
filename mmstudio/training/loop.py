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
from mmstudio.errors import OutOfMemory, StudioError, TrainingError
from mmstudio.progress import Progress, Work
from mmstudio.training import checkpoint, gradient_cache, interpolation, measured, memory, precision, provenance, runs
from mmstudio.training.checkpoint import Place
from mmstudio.training.diary import Diary
from mmstudio.training.examples import TRAIN, VALIDATION, Examples
from mmstudio.training.job import ADAPTERS, TUNED, TrainingJob, job_of
from mmstudio.training.learner import Learner, head_of, learn_from, learned

LINES_OF_A_CURVE = 20_000
"""A run with more steps tells only some of them."""
LOOK_SECONDS, CHECKPOINT_SECONDS, TELL_SECONDS = 0.05, 20.0, 0.5


def train(folder: Path) -> Work[dict[str, Any]]:
    """Train the run of a folder, from its checkpoint where it has one, and give its results.

    Raises TrainingError; the run's state says why. Closing stops it at a checkpoint.
    """
    with runs.held(folder) if runs.is_first() else contextlib.nullcontext(), contextlib.ExitStack() as stack:
        try:
            job, examples = job_of(folder), Examples.load(folder / "examples")
            stack.enter_context(threads(job))
            training = Training(job, examples, folder, accelerator(job))
        except Exception as error:
            runs.fail(folder, str(error))
            raise
        try:
            return (yield from training.run())
        except GeneratorExit:
            training.stop("stopped")
            raise
        except StudioError as error:
            training.fail(str(error))
            raise
        except Exception as error:
            training.fail(f"Something unexpected happened ({type(error).__name__}: {error}).")
            raise


def get_ready() -> None:
    """Load what torch else loads for its first optimizer, its compiler among it: one to two seconds."""
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)], fused=True)


def accelerator(job: TrainingJob) -> Accelerator:
    """The device, or processes, that a job runs on, in its precision. Without ``cpu`` several processes on CPUs would
    each train alone. Raises TrainingError where the device cannot compute so.
    """
    return Accelerator(
        cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        mixed_precision=precision.chosen(job.precision),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])


class Training:
    """One run on its way. Nothing is written before ``run``."""

    def __init__(self, job: TrainingJob, examples: Examples, folder: Path, accelerator: Accelerator) -> None:
        self.job, self.examples, self.folder, self.accelerator = job, examples, folder, accelerator
        torch.manual_seed(job.seed)
        if job.deterministic:
            torch.set_deterministic_debug_mode("warn")  # the other way to say so imports torch's compiler: two seconds
        self.learner = Learner(job, examples, accelerator.device)
        optimizer = torch.optim.AdamW(_groups(job, self.learner.model), weight_decay=job.weight_decay, fused=True)
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
        self.diary = Diary(folder, job, examples)
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
        self.model.train()
        self._tell("running")
        while self.place.epoch < self.job.epochs and not self._has_settled:
            yield from self._epoch()
            if self._obeyed_stop:
                self.stop("stopped")
                return {}
            self._validate()
            self.place.epoch, self.place.batch = self.place.epoch + 1, 0
            self._checkpoint()
            yield Progress(self.place.step, self.steps, f"epoch {self.place.epoch}")  # who looks on may end it here
        return self._finish()

    @property
    def _has_settled(self) -> bool:
        """Whether no epoch was better for long enough."""
        return (bool(self.job.patience) and self.place.worse >= self.job.patience
                and self.place.epoch > self.job.probe_epochs)

    def _epoch(self) -> Work[None]:
        order = self.order(self.place.epoch)
        self.learner.probing = self.place.epoch < self.job.probe_epochs
        if self.place.epoch == self.job.probe_epochs and not self.place.batch:
            self.place.worse = 0
            self._keep_start()
        while self.place.batch < self.per_epoch:
            start = self.place.batch * self.batch
            self.learner.ahead(self._mine(order[start : start + 2 * self.batch]))
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
            group["lr"] = group["initial_lr"] * self._rate(self.place.step)
        whole_present = self._seen(rows)
        while True:
            try:
                loss, tell = self._accumulated(rows, whole_present)
                break
            except (OutOfMemory, RuntimeError) as error:  # torch's own is a RuntimeError
                if not memory.is_out(error) or self.place.micro <= 1:
                    raise
                self.place.micro = max(1, self.place.micro // 2)
                memory.release()
        if not math.isfinite(loss):
            self.state = replace(self.state, failed_keys=tuple(self.examples.keys[rows.cpu().numpy()].tolist()))
            raise TrainingError(
                f"The loss was {loss} at step {self.place.step + 1}, batch {self.place.batch + 1} of epoch "
                f"{self.place.epoch + 1}.", hint="Look at the batch's items, or take a lower learning rate or a "
                "smaller bound of the gradient.")
        if "sure" in tell:
            sure = torch.tensor(tell.pop("sure"), device=rows.device)
            tell["balance"] = self.learner.balance(self.model, self.accelerator.reduce(sure, "sum").tolist(),
                                                   self.place.step)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.job.clip or math.inf)
        self.optimizer.step()
        self._average()
        self.place.step += 1
        return {"loss": tell.pop("plain"), "lr": self.optimizer.param_groups[0]["lr"], "norm": float(norm), **tell}

    def _accumulated(self, rows: Tensor, whole_present: Tensor) -> tuple[float, dict[str, Any]]:
        self.optimizer.zero_grad()
        world = self.accelerator.num_processes
        mine = self._mine(torch.arange(len(rows), device=rows.device))
        if self.job.task == "alignment":
            return gradient_cache.backward(self.accelerator, self.learner, self.inner, rows, whole_present, mine,
                                           self.place.micro)
        chunks = list(torch.split(mine, self.place.micro)) or [mine]
        total, tells = 0.0, list[dict[str, Any]]()
        for number, chunk in enumerate(chunks):
            last = number == len(chunks) - 1
            with contextlib.nullcontext() if last or world == 1 else self.accelerator.no_sync(self.model), \
                    self.accelerator.autocast():
                loss, tell = self.learner.loss(self.model, rows[chunk], rows, whole_present[chunk], whole_present)
                self.accelerator.backward(loss * world)
            total += float(loss.detach())
            tells.append(tell)
        made = _merged(tells)
        if world > 1:
            both = torch.tensor([total, made["plain"]], dtype=torch.float64, device=rows.device)
            total, made["plain"] = self.accelerator.reduce(both, "sum").tolist()
        return total, made

    def _mine(self, rows: Tensor) -> Tensor:
        """What of these this process reads: its share."""
        return rows[self.accelerator.process_index :: self.accelerator.num_processes]

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
            for name, value in learned(self.inner).items():
                if name in self.averaged and value.is_floating_point():
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
        own = {name: value.detach().clone() for name, value in learned(self.inner).items()}
        learn_from(self.inner, self.averaged)
        try:
            yield
        finally:
            learn_from(self.inner, own)

    def _validate(self) -> None:
        rows = self.validation if len(self.validation) else self.examples.rows(TRAIN)
        with self._averaged_weights():
            found = self._measured(rows)
            if "loss" not in found:  # no two pairs are held out
                found = self._measured(self.examples.rows(TRAIN))
            loss = found.get("loss", 0.0)
            better = loss < self.place.best - 1e-9
            if better and self.accelerator.is_main_process:
                _save_weights(self.inner, self.folder / "best.safetensors")
        if better:
            self.place.best, self.place.best_epoch, self.place.worse = loss, self.place.epoch, 0
        else:
            self.place.worse += 1
        if self.lines:
            self.lines.add({"step": self.place.step, "epoch": self.place.epoch + 1, "validation": found})
            self.lines.flush()

    def _measured(self, rows: NDArray[np.int64]) -> dict[str, float]:
        together, _ = self.learner.outputs(self.inner, rows)
        found = measured.measured(self.job, together, self.examples, rows)
        if "loss" in found and self.accelerator.is_main_process:
            self.diary.note(self.place.epoch + 1, rows, together)
        return found

    def _finish(self) -> dict[str, Any]:
        """Measure the best weights on every part, with and without each modality."""
        results: dict[str, Any] = {}
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if (self.folder / "best.safetensors").is_file():
                learn_from(self.inner, load_file(self.folder / "best.safetensors"))
            self.learner.probing = False
            results = measured.results(self.job, self.learner, self.inner, self.examples, self.folder)
            results |= self._beside()
            results["best_epoch"] = self.place.best_epoch + 1
            results["processes"] = self.accelerator.num_processes
            paths.write_atomically(self.folder / "results.json", json.dumps(results).encode())
        self._tell("done")
        self.close()
        return results

    def _keep_start(self) -> None:
        """What the learning of an encoder or adapter starts from; without a head that knows nothing yet."""
        if self.job.trains in (*TUNED, *ADAPTERS) and self.accelerator.is_main_process:
            _save_weights(self.inner, self.folder / "start.safetensors", "" if self._starts_whole else "towers.")

    @property
    def _starts_whole(self) -> bool:
        """Whether what a run starts from is worth something as it is."""
        return self.job.trains in ADAPTERS or self.job.task == "alignment" or self.job.probe_epochs > 0

    def _beside(self) -> dict[str, Any]:
        """How good the start was, where it was whole, and of a tuned encoder all that lies between it and the best
        (WiSE-FT, Wortsman et al. 2022).
        """
        if not (self.folder / "start.safetensors").is_file():
            return {}
        shares = (0.0,) if self.job.trains in ADAPTERS else tuple(n / 10 for n in range(11))
        found = interpolation.curve(self.job, self.learner, self.inner, self.examples, self.folder, shares)
        return ({"before": found[0]["held out"]} if self._starts_whole else {}) | (
            {"interpolation": found} if len(found) > 1 else {})

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
        self.close()

    def fail(self, why: str) -> None:
        self.state = replace(self.state, error=why)
        self._tell("failed")
        self.close()

    def close(self) -> None:
        """Let go of the run's files and threads."""
        if self.learner.feed is not None:
            self.learner.feed.close()
        if self.lines:
            self.lines.close()
            self.lines = None

    def _line(self, tell: dict[str, Any]) -> None:
        if self.lines:
            self._count_seconds()
            self.lines.add({"step": self.place.step, "epoch": self.place.epoch + 1, **tell,
                            "memory": memory.peaks(self.accelerator.device), "seconds": round(self.place.seconds, 3)})

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
            self.diary.tell()

    def _checkpoint(self) -> None:
        self.kept = time.monotonic()
        if self.accelerator.is_main_process:
            self._count_seconds()
            if self.lines:
                self.lines.flush()
            parts = {"model": learned(self.inner), "optimizer": self.optimizer.state_dict(),
                     "averaged": self.averaged, "scaler": self._scaler()}
            checkpoint.save(self.folder / "checkpoint.pt", self.place, parts)

    def _scaler(self) -> dict[str, Any]:
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {}

    def _resume(self) -> None:
        found = checkpoint.load(self.folder / "checkpoint.pt", self.accelerator.device)
        if found:
            self.place, parts = found
            learn_from(self.inner, parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            for group in self.optimizer.param_groups:
                group["fused"] = True  # a checkpoint of an earlier version says otherwise
            self.averaged = parts["averaged"]
            if self.accelerator.scaler is not None and parts["scaler"]:
                self.accelerator.scaler.load_state_dict(parts["scaler"])
        if self.accelerator.is_main_process:
            provenance.trained_on(self.folder, self.accelerator.device)
            self.lines = runs.Lines(self.folder, self.place.step)
        self.began = time.monotonic()


@contextlib.contextmanager
def threads(job: TrainingJob) -> Iterator[None]:
    """A head's matrices are small: on one core they are multiplied sooner than on several that wait for each other, and
    the window keeps the rest. An encoder's are not.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if job.reads_media else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _groups(job: TrainingJob, model: torch.nn.Module) -> list[dict[str, Any]]:
    """What learns, the head at its rate and a pretrained encoder at its own."""
    head = set(map(id, head_of(model).parameters()))
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rate = job.encoder_lr if id(parameter) not in head and job.trains in TUNED else job.lr
            groups.setdefault(rate, []).append(parameter)
    return [{"params": parameters, "lr": rate, "initial_lr": rate} for rate, parameters in groups.items()]


def _merged(tells: list[dict[str, Any]]) -> dict[str, Any]:
    """What the parts of a step tell, as one: sums of losses and of how sure modalities are, means of the rest."""
    if len(tells) == 1:
        return tells[0]
    made: dict[str, Any] = {}
    for name in tells[0]:
        values = [tell[name] for tell in tells]
        if name == "plain":
            made[name] = sum(values)
        elif name == "alone":
            made[name] = {key: sum(value[key] for value in values) for key in values[0]}
        elif name == "sure":
            made[name] = np.sum(values, 0).tolist()
        elif isinstance(values[0], dict):
            made[name] = {key: float(np.mean([value[key] for value in values])) for key in values[0]}
        else:
            made[name] = np.mean(values, 0).tolist()
    return made


def _save_weights(model: torch.nn.Module, file: Path, prefix: str = "") -> None:
    """Keep what of the model has learned, as far as its names begin so."""
    beside = file.with_name(f"{file.name}.tmp")
    try:
        weights = {name: value.detach().contiguous().cpu().clone() for name, value in learned(model).items()
                   if name.startswith(prefix)}
        save_file(weights, beside)
        beside.replace(file)
    except Exception as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"The weights could not be written ({error}).", path=file.parent,
                            hint="Free some space and continue.") from error


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "accelerate", "mmstudio")
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
