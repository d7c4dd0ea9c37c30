"""Runs lie in folders: the job, what it learns from, where it stands, and its curve. Reading them needs no torch.

``job.json``, ``examples/``, ``provenance.json``, ``state.json``, ``metrics.jsonl`` (one line a step), the same in
``tensorboard/``, ``wish`` (what the person wants of it), ``checkpoint.pt``, ``best.safetensors``, ``results.json`` and
``outputs.npz``; ``share`` and ``thresholds`` say how a person lets it tell; for who watches, ``validation.npz`` of the
last epoch and ``film/`` of all. A baseline's has ``beside.json``, and no weights. Whoever trains holds
``running.lock``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.training import beside as marks
from mmstudio.training import deciding, provenance
from mmstudio.training import trial as trials
from mmstudio.training.beside import Beside
from mmstudio.training.deciding import Deciding
from mmstudio.training.event_files import EventFile
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob, job_of
from mmstudio.training.provenance import Provenance
from mmstudio.training.trial import Trial

Status = Literal["waiting", "running", "paused", "stopped", "done", "failed", "interrupted"]
Wish = Literal["run", "pause", "stop"]
_JOB, _STATE, _WISH, _LOCK = "job.json", "state.json", "wish", "running.lock"
_THRESHOLDS = "thresholds"
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class State:
    """Where a run stands, as it last told. ``started`` is in seconds since 1970, ``seconds`` what was spent training.
    """

    status: Status = "waiting"
    step: int = 0
    steps: int = 0
    epoch: int = 0
    started: float = 0.0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int = -1
    error: str = ""
    failed_keys: tuple[int, ...] = ()
    fingerprint: str = ""
    versions: dict[str, str] | None = None


@dataclass(frozen=True)
class Run:
    """One run's folder as it is now; ``results`` are its metrics once it is done. A person may call it otherwise than
    its job does, give it a star and write a ``note``: the project knows these (``Project.look_at_runs``). ``trial``
    says which one of a sweep it is, ``beside`` that it is a baseline: it has results, but no weights and no curve.
    """

    folder: Path
    job: TrainingJob
    state: State
    results: dict[str, Any]
    provenance: Provenance = field(default_factory=Provenance)
    name: str = ""
    starred: bool = False
    note: str = ""
    share: float = 1.0
    deciding: Deciding = field(default_factory=Deciding)
    trial: Trial | None = None
    beside: Beside | None = None

    @property
    def number(self) -> int:
        return int(self.folder.name)


def make(root: Path, job: TrainingJob, examples: Examples, kept: Path | None = None,
         trial: Trial | None = None, more: Callable[[Path], None] = lambda folder: None) -> Path:
    """A new run's folder, numbered after those that are there. Where the examples lie in a folder already, ``kept``,
    they are not stored again; a run of a sweep knows its ``trial``. ``more`` writes into the folder before anybody sees
    it. Raises TrainingError; then there is none.
    """
    with numbered(root) as beside:
        if kept is None:
            examples.save(beside / "examples")
        else:
            shutil.copytree(kept, beside / "examples", copy_function=_linked)
        (beside / _JOB).write_text(job.check().to_json(), encoding="utf-8")
        made = Provenance(time.time(), len(examples), examples.fingerprint(), examples.note)
        provenance.write(beside, made)
        if trial is not None:
            trials.write(beside, trial)
        paths.write_atomically(beside / _STATE, _as_json(State(fingerprint=made.fingerprint)))
        more(beside)
    return root / beside.name.removeprefix(".")


def _linked(source: str, target: str) -> None:
    """The same file under another name, or its copy where the disk knows no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def numbered(root: Path) -> Iterator[Path]:
    """A folder to write into, named “.0001” until it is whole and “0001” then, after those that ``root`` has. Raises
    TrainingError where it cannot be written; of what fails nothing stays.
    """
    from filelock import FileLock

    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_name(f"{root.name}.lock")):  # a sweep and the window may make runs at once
        number = 1 + max((int(path.name) for path in root.iterdir() if is_number(path.name)), default=0)
        beside = root / f".{number:04}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir()
            yield beside
            beside.rename(root / f"{number:04}")
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise TrainingError(f"What is to be trained could not be written ({error.strerror}).", path=beside,
                                hint="Free some space.") from error
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


def again(folder: Path) -> Path:
    """A new run beside this one with its job and its examples. Raises TrainingError, also for a baseline."""
    if marks.of(folder):
        raise TrainingError("A baseline is not trained.", path=folder, hint="Ask for the baselines of its run anew.")
    return make(folder.parent, job_of(folder), Examples.load(folder / "examples"))


def runs(root: Path) -> list[Run]:
    """All runs that can be read, newest first."""
    found = []
    for folder in sorted(root.iterdir(), reverse=True) if root.is_dir() else ():
        if is_number(folder.name) and (folder / _JOB).is_file():
            with suppress(TrainingError):
                found.append(look(folder))
    return found


def is_number(name: str) -> bool:
    """Whether a folder's name is that of a run."""
    return name.isdecimal() and name.isascii()


def look(folder: Path) -> Run:
    """One run as it is. Raises TrainingError."""
    job, found, share = job_of(folder), _results(folder), share_of(folder)
    return Run(folder, job, standing(folder), found, provenance.of(folder), job.name, share=share,
               deciding=deciding.read(found, share, uses_thresholds(folder)), trial=trials.of(folder),
               beside=marks.of(folder))


def is_classifier(run: Run) -> bool:
    """Whether a run is finished and tells one class of several."""
    return run.state.status == "done" and run.job.task == "classification" and run.beside is None


def standing(folder: Path) -> State:
    """Where a run stands. One that says it is running while nobody holds its lock was interrupted. Raises
    TrainingError.
    """
    state = state_of(folder)
    if state.status in ("running", "paused") and not is_alive(folder):
        last = state_of(folder)  # it may have ended just now
        state = replace(last, status="interrupted") if last.status == state.status else last
    return state


def _results(folder: Path) -> dict[str, Any]:
    """The metrics of a run that is done; nothing where they are not what they should be."""
    try:
        made = json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=lambda _: None)
        parts = made["parts"]
        numbers = all(isinstance(v, float | int) or v is None for part in parts.values() for v in part.values())
        return made if numbers and isinstance(made["of"], str) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def state_of(folder: Path) -> State:
    """What the run last told. Raises TrainingError where it cannot be read."""
    try:
        values = json.loads((folder / _STATE).read_text(encoding="utf-8"), parse_constant=lambda _: None)
        state = State(**{**values, "failed_keys": tuple(values.get("failed_keys", ()))})
        if state.status not in get_args(Status) or not all(
                isinstance(n, float | int) for n in (state.step, state.steps, state.epoch, state.seconds)):
            raise ValueError("it is not a state")
        return state
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"The run's state cannot be read ({error}).", path=folder) from error


def fail(folder: Path, why: str) -> None:
    """Say that the run cannot be trained, so that nobody starts it again by itself."""
    try:
        state = state_of(folder)
    except TrainingError:
        state = State()
    tell(folder, replace(state, status="failed", error=why, started=time.time()))


def tell(folder: Path, state: State) -> None:
    """Let others know where the run stands. What fails here is told the next time."""
    try:
        paths.write_atomically(folder / _STATE, _as_json(state))
    except OSError:
        pass


def wish(folder: Path, wanted: Wish) -> None:
    """Ask a run to go on, pause or stop; it obeys within a step. Raises TrainingError."""
    try:
        paths.write_atomically(folder / _WISH, wanted.encode())
    except OSError as error:
        raise TrainingError(f"The run could not be told ({error.strerror}).", path=folder) from error


def wished(folder: Path) -> Wish:
    """What is asked of the run."""
    try:
        text = (folder / _WISH).read_text(encoding="utf-8")
    except OSError:
        return "run"
    return "pause" if text == "pause" else "stop" if text == "stop" else "run"


def share_of(folder: Path) -> float:
    """How much of the best weights a run tells with, 0 to 1; the rest is what its encoder's learning started from."""
    try:
        return min(1.0, max(0.0, float((folder / "share").read_text(encoding="ascii"))))
    except (OSError, ValueError):
        return 1.0


def choose_share(folder: Path, share: float) -> None:
    """Let a run tell with weights between its start and its best. Raises TrainingError."""
    try:
        paths.write_atomically(folder / "share", f"{share:g}".encode())
    except OSError as error:
        raise TrainingError(f"The choice could not be kept ({error.strerror}).", path=folder) from error


def uses_thresholds(folder: Path) -> bool:
    """Whether a run decides at the thresholds that were fitted on validation, in place of a half."""
    return (folder / _THRESHOLDS).is_file()


def choose_thresholds(folder: Path, fitted: bool) -> None:
    """Let a run decide at the thresholds that were fitted on validation, or at a half. Raises TrainingError."""
    try:
        if fitted:
            paths.write_atomically(folder / _THRESHOLDS, b"best F1")
        else:
            (folder / _THRESHOLDS).unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"The choice could not be kept ({error.strerror}).", path=folder) from error


def is_first() -> bool:
    """Whether this process is the only one that trains, or the first of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def is_alive(folder: Path) -> bool:
    """Whether some process trains here now."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else trains here meanwhile. Raises TrainingError where someone does."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    for _ in range(20):  # whoever asks whether we live holds it for an instant
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            continue
    if not lock.is_locked:
        raise TrainingError("This run is being trained already.", path=folder)
    try:
        yield
    finally:
        lock.release()


def start(folder: Path) -> None:
    """Train in a process of its own, which outlives this one; what it prints goes to ``log.txt``. Raises TrainingError.
    """
    if is_starting(folder):
        return
    wish(folder, "run")
    child = _waiting.pop() if _waiting and _waiting[-1].poll() is None else _spawned(folder)
    try:
        assert child.stdin is not None
        with child.stdin:
            child.stdin.write(f"{folder}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise TrainingError(f"The training could not be started ({error}).", path=folder) from error
    _CHILDREN[child] = folder, time.time()
    _started.add(folder)
    for one in [one for one in _CHILDREN if one.poll() is not None]:  # those that ended are waited for
        del _CHILDREN[one]


def get_ready() -> None:
    """Start a process that loads what training needs and waits, so that the next run begins at once."""
    if not _waiting or _waiting[-1].poll() is not None:
        _waiting[:] = [_spawned(None)]


def let_go() -> None:
    """End the process that waits."""
    while _waiting:
        child = _waiting.pop()
        if child.stdin is not None:
            child.stdin.close()
        child.wait()


def _spawned(folder: Path | None) -> subprocess.Popen[bytes]:
    """A process that is told its run's folder on standard input; its own session keeps it from ending with us."""
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "mmstudio"]
    apart: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}  # type: ignore[attr-defined]
    try:
        return subprocess.Popen([*program, "train", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **apart)
    except OSError as error:
        raise TrainingError(f"The training could not be started ({error}).", path=folder) from error


def is_starting(folder: Path) -> bool:
    """Whether a process that this one started for the run lives; it takes a moment until the run says so itself."""
    began = [since for child, (run, since) in _CHILDREN.items() if run == folder and child.poll() is None]
    return bool(began) and state_of(folder).started < began[-1]


def starting() -> set[Path]:
    """The runs and sweeps that are starting."""
    found = set()
    for folder in {run for run, _ in list(_CHILDREN.values())}:
        with suppress(TrainingError):  # it was removed
            if is_starting(folder):
                found.add(folder)
    return found


def ended_early(folder: Path) -> bool:
    """Whether a process that this one started for the run is gone though the run never began."""
    return folder in _started and not is_starting(folder)


_started: set[Path] = set()
_CHILDREN: dict[subprocess.Popen[bytes], tuple[Path, float]] = {}
_waiting: list[subprocess.Popen[bytes]] = []


def require_ended(folder: Path) -> None:
    """Raise TrainingError while a run is being trained."""
    if is_alive(folder):
        raise TrainingError("The run is being trained.", path=folder, hint="Stop it first.")


def remove(folder: Path) -> None:
    """Delete a run. Raises TrainingError while it is being trained."""
    require_ended(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Curve:
    """The lines of ``metrics.jsonl``, read on from where the last reading ended."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "metrics.jsonl"
        self._at = 0
        self._rest = b""

    def more(self) -> tuple[list[dict[str, Any]], bool]:
        """Lines that came since, and whether the curve was begun anew or cut back, so that all before is void."""
        try:
            size = self._file.stat().st_size
            anew = size < self._at
            if anew:
                self._at, self._rest = 0, b""
            with open(self._file, "rb") as file:
                file.seek(self._at)
                read = file.read()
        except OSError:
            return [], False
        self._at += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        return [made for line in lines if (made := _line(line)) is not None], anew


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        made = json.loads(text)
    except ValueError:
        return None
    return made if isinstance(made, dict) else None


def _as_json(state: State) -> bytes:
    return json.dumps(asdict(state)).encode()


class Lines:
    """Writes ``metrics.jsonl``, some lines at once; going on from a checkpoint, what came after it is cut off."""

    def __init__(self, folder: Path, step: int) -> None:
        file = folder / "metrics.jsonl"
        kept = []
        if step and file.is_file():
            whole = [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            kept = [(line, made) for line in whole if (made := _line(line)) and made.get("step", 0) <= step]
        paths.write_atomically(file, b"".join(line for line, _ in kept))
        self._file = open(file, "ab")  # noqa: SIM115 - closed by close
        self._events = EventFile(folder / "tensorboard", provenance.of(folder).created, step,
                                 [made for _, made in kept])
        self._flushed = time.monotonic()

    def add(self, values: dict[str, Any]) -> None:
        """Raises TrainingError where the disk does not take it."""
        try:
            self._file.write(json.dumps(values).encode() + b"\n")
            self._events.add(values)
            if time.monotonic() - self._flushed > 0.1:
                self.flush()
        except OSError as error:
            raise TrainingError(f"The curve could not be written ({error.strerror}).", path=self._file.name,
                                hint="Free some space and continue.") from error

    def flush(self) -> None:
        self._file.flush()
        self._events.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        for file in (self._file, self._events):
            with suppress(OSError):
                file.close()
