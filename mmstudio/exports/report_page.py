"""A report as a web page that is written while it is made: one of its items is in memory at a time."""

from __future__ import annotations

from pathlib import Path

from mmstudio.explain.report import Entry, Report
from mmstudio.explain.report_html import END, beginning, section
from mmstudio.exports.target import ExportError, checked, opened, swapped
from mmstudio.progress import Progress, Work, retold


def written_page(work: Work[Report], target: Path) -> Work[Report]:
    """The steps and the outcome of ``reported``; each entry goes into the page. Closed before its end it leaves the
    target as it was. Raises ExportError, and what ``reported`` raises.
    """
    target = checked(target, ExportError, folder=False)
    with swapped(target, ExportError, folder=False) as beside, opened(beside) as file:
        def write(step: Progress) -> Progress:
            if isinstance(step.fresh, Report):
                file.write(beginning(step.fresh).encode())
            elif isinstance(step.fresh, Entry):
                file.write(section(step.fresh).encode())
            return step

        report = yield from retold(work, write)
        file.write(END.encode())
    return report
