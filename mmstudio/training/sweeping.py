"""A sweep on its way: one trial after another in this process, each an ordinary run, kept in Optuna's journal.

What a trial's settings are follows from the sweep's seed, the trial's number and the trials before it alone, so that a
sweep which was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mmstudio.errors import TrainingError
from mmstudio.progress import Progress, Work
from mmstudio.training import runs
from mmstudio.training import trial as trials
from mmstudio.training.examples import Examples
from mmstudio.training.sweep import KeptSweep, Setting, Sweep, Varied, look
from mmstudio.training.trial import Trial

Outcome = Literal["done", "pruned", "stopped by hand", "failed"]
FEW = 10
"""Trials that are done, below which nothing is said of what was important."""
_JOURNAL, _STUDY = "journal.log", "sweep"
_FIRST_WITNESSES = 4
"""Trials that are done before one is pruned."""


def run(folder: Path) -> Work[dict[str, Any]]:
    """Make the trials that a project's sweep lacks, as runs of the project, and give the best: its ``trial``, ``run``,
    ``value`` and ``settings``; nothing where it was stopped. Raises TrainingError; the sweep's state says why. Closing
    stops it and the run that learns.
    """
    with runs.held(folder):
        try:
            sweeping = Sweeping(look(folder))
        except Exception as error:
            runs.fail(folder, str(error))
            raise
        try:
            return (yield from sweeping.run())
        except GeneratorExit:
            sweeping.tell("stopped")
            raise
        except OSError as error:
            sweeping.tell("failed", f"The sweep could not be written ({error.strerror}).")
            raise TrainingError(f"The sweep could not be written ({error.strerror}).", path=folder,
                                hint="Free some space and continue.") from error
        except Exception as error:
            sweeping.tell("failed", str(error))
            raise


class Sweeping:
    """One sweep and its study."""

    def __init__(self, kept: KeptSweep) -> None:
        self.folder, self.sweep, self.root = kept.folder, kept.sweep, kept.folder.parents[1] / "runs"
        self.examples = Examples.load(self.folder / "examples")
        self.study = _study(self.folder, self.sweep)
        self.state = runs.State("running", steps=self.sweep.count, started=time.time(), seconds=kept.state.seconds,
                                fingerprint=kept.state.fingerprint)
        self._since = time.monotonic()

    def run(self) -> Work[dict[str, Any]]:
        self.tell("running")
        while (trial := self._next()) is not None:
            if runs.wished(self.folder) == "stop" or not (yield from self._try(trial)):
                self.tell("stopped")
                return {}
            self.tell("running")
        self.tell("done")
        return self._best()

    # ---- trials -------------------------------------------------------------------------------------------------

    def _next(self) -> Any:
        """The trial that was left unfinished, else a new one; None where all are made."""
        from optuna.trial import Trial as Suggested
        from optuna.trial import TrialState

        known = self.study.get_trials(deepcopy=False)
        asked = [one for one in known if one.state != TrialState.WAITING]
        left = next((one for one in asked if one.state == TrialState.RUNNING), None)
        number = len(asked) if left is None else left.number
        if number >= self.sweep.count:
            return None
        self.study.sampler = _sampler(self.sweep, number)
        if left is not None:
            return Suggested(self.study, left._trial_id)  # asks on where it was killed: what is known stays
        if self.sweep.method == "grid" and len(asked) == len(known):
            self.study.enqueue_trial(self.sweep.grid()[number])
        return self.study.ask()

    def _try(self, trial: Any) -> Work[bool]:
        """Train one trial's run to its end; False where the sweep was stopped meanwhile."""
        settings: dict[str, Any] = {one.name: _suggested(trial, one) for one in self.sweep.varied}
        job = replace(self.sweep.job, name=f"{self.sweep.name} · {trial.number + 1}", **settings)
        try:
            job.check()
        except TrainingError:  # settings that are sound alone need not fit together
            self.study.tell(trial.number, state=_states().FAIL)
            return True
        told = Trial(self.folder.name, trial.number, settings)
        folder = self._run_of(trial.number) or runs.make(self.root, job, self.examples, self.folder / "examples", told)
        known = trials.of(folder) or told
        if not known.pruned:
            outcome = yield from self._trained(trial, folder)
            if outcome is None:
                return False
            known = self._judged(known, folder, outcome)
            trials.write(folder, known)
        if known.pruned:
            self.study.tell(trial.number, state=_states().PRUNED)
        elif known.value is None:
            self.study.tell(trial.number, state=_states().FAIL)
        else:
            self.study.tell(trial.number, known.value)
        return True

    def _run_of(self, number: int) -> Path | None:
        """The run that was made of a trial before the sweep was ended."""
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            known = trials.of(folder) if runs.is_number(folder.name) else None
            if known and (known.sweep, known.number) == (self.folder.name, number):
                return folder
        return None

    def _trained(self, trial: Any, folder: Path) -> Work[Outcome | None]:
        """How the run ended; None where the sweep was stopped, and the run with it at a checkpoint."""
        from mmstudio.training.loop import train

        runs.wish(folder, "run")
        work, curve, passed_on = train(folder), runs.Curve(folder), "run"
        try:
            while True:
                try:
                    step = next(work)
                except StopIteration as stop:
                    return "done" if stop.value else "stopped by hand"
                except Exception:  # noqa: BLE001 - the run's state says why; others may be better off
                    return "failed"
                yield Progress(trial.number, self.sweep.count, f"trial {trial.number + 1} · {step.text}")
                wanted = runs.wished(self.folder)
                if wanted == "stop":
                    return None
                if wanted != passed_on:
                    runs.wish(folder, wanted)
                    self.tell("paused" if wanted == "pause" else "running")
                    passed_on = wanted
                if self._is_hopeless(trial, curve):
                    return "pruned"
        finally:
            work.close()

    def _is_hopeless(self, trial: Any, curve: runs.Curve) -> bool:
        """Whether an epoch of the run since the last look is worse than the median of the trials before."""
        epochs = trial.params.get("epochs", self.sweep.job.epochs)
        for epoch, value in self._validations(curve):
            if epoch not in self._reported(trial.number):
                trial.report(value, epoch)
            if self.sweep.pruning and epoch < epochs and trial.should_prune():
                return True
        return False

    def _reported(self, number: int) -> dict[int, float]:
        """The metric by epoch."""
        return self.study.get_trials(deepcopy=False)[number].intermediate_values

    def _validations(self, curve: runs.Curve) -> Iterator[tuple[int, float]]:
        for line in curve.more()[0]:
            value = line.get("validation", {}).get(self.sweep.metric)
            if value is not None:
                yield line["epoch"], value

    def _judged(self, known: Trial, folder: Path, outcome: str) -> Trial:
        """What a trial's run is worth."""
        if outcome in ("pruned", "stopped by hand"):
            reported = self._reported(known.number)
            worth = (min if self.sweep.direction == "minimize" else max)(reported.values(), default=None)
            if outcome == "pruned":
                outcome = f"epoch {max(reported)}: worse than the median of the trials before"
            return replace(known, value=worth, pruned=outcome)
        value = runs.look(folder).results.get("parts", {}).get("validation", {}).get(self.sweep.metric)
        return replace(known, value=value if outcome == "done" and value is not None and math.isfinite(value) else None)

    # ---- what others see ----------------------------------------------------------------------------------------

    def tell(self, status: runs.Status, error: str = "") -> None:
        best, ended = self._best(), [one for one in self.study.get_trials(deepcopy=False) if one.state.is_finished()]
        now = time.monotonic()
        self.state = replace(self.state, status=status, step=len(ended), error=error, best=best.get("value"),
                             best_epoch=best.get("trial", -1), seconds=self.state.seconds + now - self._since)
        self._since = now
        runs.tell(self.folder, self.state)

    def _best(self) -> dict[str, Any]:
        if not any(one.state == _states().COMPLETE for one in self.study.get_trials(deepcopy=False)):
            return {}
        best = self.study.best_trial
        folder = self._run_of(best.number)
        return {"trial": best.number, "run": folder.name if folder else "", "value": best.value,
                "settings": best.params}


# ---- Optuna ---------------------------------------------------------------------------------------------------------


def _study(folder: Path, sweep: Sweep) -> Any:
    """The sweep's study, begun where there is none. Whoever asks holds the sweep."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = folder / _JOURNAL
    file.with_name(f"{_JOURNAL}.lock").unlink(missing_ok=True)  # of one that was killed while it wrote
    if file.is_file():
        written = file.read_bytes()
        if not written.endswith(b"\n"):
            with open(file, "r+b") as torn:
                torn.truncate(written.rfind(b"\n") + 1)
    storage = JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))
    pruner = optuna.pruners.MedianPruner(_FIRST_WITNESSES, n_warmup_steps=max(1, sweep.job.epochs // 5))
    return optuna.create_study(storage=storage, study_name=_STUDY, direction=sweep.direction, pruner=pruner,
                               load_if_exists=True)


def _sampler(sweep: Sweep, number: int) -> Any:
    """What chooses a trial's settings; each trial draws on its own."""
    from optuna.samplers import RandomSampler, TPESampler

    seed = (sweep.seed * 1_000_003 + number) % 2**32
    if sweep.method == "tpe":
        return TPESampler(n_startup_trials=min(10, max(4, sweep.trials // 3)), seed=seed)
    return RandomSampler(seed)


def _suggested(trial: Any, one: Varied) -> Setting:
    if one.choices:
        return trial.suggest_categorical(one.name, one.choices)
    if one.is_whole:
        return trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(one.name, one.low, one.high, log=one.log)


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def importance(folder: Path) -> dict[str, float]:
    """Each setting's share in how differently the trials came out, largest first: functional ANOVA over a random forest
    (Hutter et al. 2014). Nothing where too ``FEW`` trials are done, or all came out the same. Raises TrainingError.
    """
    if not (folder / _JOURNAL).is_file():
        return {}
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.load_study(study_name=_STUDY, storage=JournalStorage(JournalFileBackend(str(folder / _JOURNAL))))
        done = study.get_trials(deepcopy=False, states=(_states().COMPLETE,))
        if len(done) < FEW or len({one.value for one in done}) < 2:
            return {}
        return dict(optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)))
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"The sweep's trials cannot be read ({error}).", path=folder) from error
