"""The studio without a window: every long job as a command.

Progress goes to stderr, results to stdout or into the file. Exit code 0: all done; 1: some inputs could not be read
(they are listed); 2: it could not run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from mmstudio import __version__
from mmstudio.cli import features, media, projects, runs
from mmstudio.cli.shared import MakePages
from mmstudio.encoders.device import keep_freed_memory
from mmstudio.encoders.hub import stay_offline
from mmstudio.errors import StudioError
from mmstudio.media.scan import printable


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="mmstudio", description="Explore images, sounds, texts and videos through multimodal models.",
        epilog="“mmstudio” alone opens the studio; “mmstudio PATH...” opens it with those files.")
    top.add_argument("--version", action="version", version=f"mmstudio {__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    for module in (media, projects, features, runs):
        module.add_to(command)
    return top


def main(arguments: Sequence[str], pages: MakePages | None = None) -> int:
    """Run one command and give its exit code. ``pages`` makes a PDF's, where something here can."""
    asked = parser().parse_args(arguments)
    asked.pages = pages
    stay_offline()
    keep_freed_memory()
    try:
        return int(asked.run(asked))
    except StudioError as error:
        where = f"{printable(error.path)}: " if error.path else ""
        print(f"mmstudio: {where}{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmstudio: stopped; what was done is kept.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 2
    except Exception as error:  # noqa: BLE001 - exit code 1 means something else than a crash
        print(f"mmstudio: something unexpected happened ({type(error).__name__}: {error}).", file=sys.stderr)
        return 2
