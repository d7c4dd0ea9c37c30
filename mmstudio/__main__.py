"""``mmstudio``: the studio, or with a command its headless twin."""

from __future__ import annotations

import sys

HEADLESS = ("encode", "search", "explain", "models", "new", "add", "export", "project", "train", "predict",
            "export-run", "report", "sweep", "-h", "--help", "--version")


def main() -> int:
    """Send the arguments to the window or to the command line. A file named like a command is given as ./encode."""
    if getattr(sys, "frozen", False):
        import multiprocessing

        multiprocessing.freeze_support()  # a packaged program starts itself as the process beside it
    arguments = sys.argv[1:]
    if arguments and arguments[0] in HEADLESS:
        from mmstudio import cli

        return cli.main(arguments)
    from mmstudio.desktop import app

    return app.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
