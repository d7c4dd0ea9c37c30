"""What a person has done with a finished run that takes a while: written out as a folder, measured beside baselines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmstudio.desktop.session import Session
from mmstudio.desktop.sharing import unused
from mmstudio.desktop.text import count, tr
from mmstudio.errors import StudioError
from mmstudio.progress import Work
from mmstudio.training.export_run import ExportReport
from mmstudio.training.runs import Run


def export(session: Session, run: Run, parent: Path) -> None:
    """Write a run into a new folder in ``parent`` that is called as the run is."""
    name = "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in run.name).strip(" .") or "run"

    def work() -> Work[ExportReport]:
        from mmstudio.training.export_run import export_run

        return (yield from export_run(run.folder, unused(parent / name)))

    def done(report: ExportReport) -> None:
        job.finish(" ".join([tr("{} files in {}").format(len(report.files), report.folder), *report.left_out]), [])
        session.noted.emit(tr("“{}” lies in {} now.").format(run.name, report.folder))

    job = session.jobs.start(tr("Export of “{}”").format(run.name), work, lambda _: None, done, session.failed.emit,
                             session.maths)


def baselines(session: Session, run: Run, then: Callable[[], None]) -> None:
    """Fit what is simple on the run's vectors, as lines of the runs' table; ``then`` however it ends."""
    def work() -> Work[list[Path]]:
        from mmstudio.training import baseline_runs

        return (yield from baseline_runs.on_vectors(run.folder))

    _fit(session, run, tr("Baselines"), work, then)


def baselines_on_media(session: Session, run: Run, then: Callable[[], None]) -> None:
    """As ``baselines`` on words, colours and edges, or mel bands alone."""
    items, samples = session.items.copy(), dict(session.samples)

    def work() -> Work[list[Path]]:
        from mmstudio.training import baseline_runs
        from mmstudio.training.examples import Examples

        keys = Examples.load(run.folder / "examples").keys.tolist()
        members = {key: samples[-key].item_ids if -key in samples else (key,) for key in keys}
        return (yield from baseline_runs.on_media(run.folder, {
            key: [items[i].ref for i in some if i in items] for key, some in members.items()}))

    _fit(session, run, tr("Baselines on media"), work, then)


def _fit(session: Session, run: Run, title: str, work: Callable[[], Work[list[Path]]], then: Callable[[], None]
         ) -> None:
    def done(made: list[Path]) -> None:
        job.finish(tr("{} baselines of “{}”").format(count(len(made)), run.name), [])
        session.noted.emit(tr("{} baselines of “{}” are lines of the table now. Choose one with the run to compare "
                              "them.").format(count(len(made)), run.name))
        then()

    def failed(error: StudioError) -> None:
        session.failed.emit(error)
        then()

    job = session.jobs.start(title, work, lambda _: None, done, failed, session.maths)
