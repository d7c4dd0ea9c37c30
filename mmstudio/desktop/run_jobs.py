"""What a person has done with a finished run that takes a while: written out as a folder, measured beside baselines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmstudio.desktop.session import Session
from mmstudio.desktop.sharing import unused
from mmstudio.desktop.text import tr
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


def offers_raw_baselines(run: Run) -> bool:
    """Whether a run tells classes apart and was not measured beside baselines on its media yet."""
    from mmstudio.training.raw_baselines import names

    return run.job.task == "classification" and not names(run.job.modalities) & set(run.results.get("baselines", {}))


def raw_baselines(session: Session, run: Run, then: Callable[[], None]) -> None:
    """Measure what words, colours or mel bands alone tell, on the run's parts; ``then`` however it ends."""
    items, samples = session.items.copy(), dict(session.samples)

    def work() -> Work[dict[str, float]]:
        from mmstudio.training import raw_baselines as raw
        from mmstudio.training.examples import Examples

        keys = Examples.load(run.folder / "examples").keys.tolist()
        members = {key: samples[-key].item_ids if -key in samples else (key,) for key in keys}
        return (yield from raw.beside(run.folder, {
            key: [items[i].ref for i in some if i in items] for key, some in members.items()}))

    def done(told: dict[str, float]) -> None:
        job.finish(", ".join(f"{name} {value:.3f}" for name, value in told.items()), [])
        then()

    def failed(error: object) -> None:
        session.failed.emit(error)
        then()

    job = session.jobs.start(tr("Baselines on media"), work, lambda _: None, done, failed, session.maths)
