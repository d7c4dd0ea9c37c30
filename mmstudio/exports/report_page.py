"""A report as a web page that is written while it is made: one of its items is in memory at a time."""

from __future__ import annotations

from pathlib import Path

from mmstudio.explain.report import Entry, Report
from mmstudio.explain.report_html import END, beginning, section
from mmstudio.exports.target import ExportError, checked, opened, swapped
from mmstudio.progress import Work


def written_page(work: Work[Report], target: Path) -> Work[Report]:
    """The steps and the outcome of ``reported``; each entry goes into the page. Closed before its end it leaves the
    target as it was. Raises ExportError, and what ``reported`` raises.
    """
    target = checked(target, ExportError, folder=False)
    with swapped(target, ExportError, folder=False) as beside, opened(beside) as file:
        while True:
            try:
                progress = next(work)
            except StopIteration as stop:
                report: Report = stop.value
                break
            if isinstance(progress.fresh, Report):
                file.write(beginning(progress.fresh).encode())
            elif isinstance(progress.fresh, Entry):
                file.write(section(progress.fresh).encode())
            yield progress
        file.write(END.encode())
    return report
