"""``mmstudio``: the studio, or with a command its headless twin."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmstudio.desktop.pages import Pages

HEADLESS = ("encode", "search", "explain", "features", "models", "new", "add", "export", "project", "train", "predict",
            "export-run", "report", "sweep", "-h", "--help", "--version")


def main() -> int:
    """Send the arguments to the window or to the command line. A file named like a command is given as ./encode."""
    if getattr(sys, "frozen", False):
        import multiprocessing

        multiprocessing.freeze_support()  # a packaged program starts itself as the process beside it
    arguments = sys.argv[1:]
    if arguments and arguments[0] in HEADLESS:
        from mmstudio import cli

        return cli.main(arguments, _pages)
    from mmstudio.desktop import app

    return app.main(arguments)


def _pages(title: str) -> Pages:
    """Pages of a PDF, which the window's toolkit draws without a window. Raises ImportError where it is not there."""
    from mmstudio.desktop.pages import Pages

    _toolkit()
    return Pages(title)


@cache
def _toolkit() -> object:
    """Kept as long as the program runs."""
    from PySide6.QtGui import QGuiApplication

    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QGuiApplication.instance() or QGuiApplication(sys.argv[:1])


if __name__ == "__main__":
    raise SystemExit(main())
