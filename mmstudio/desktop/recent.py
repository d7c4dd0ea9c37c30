"""The projects that were open last, newest first, as the settings keep them."""

from __future__ import annotations

import os
from pathlib import Path

from mmstudio.settings import Settings

MOST = 10


def recent(settings: Settings) -> list[Path]:
    """Their folders, which need not be there any more."""
    return [Path(line) for line in settings["recent"].splitlines()]


def remember(settings: Settings, folder: Path) -> None:
    """This one is the newest, and opens at the next start. Raises SettingsError where it cannot be written down."""
    here = os.path.abspath(folder)
    kept = [here, *(str(one) for one in recent(settings) if str(one) != here)][:MOST]
    settings.values["recent"] = "\n".join(one for one in kept if len(one.splitlines()) == 1)
    settings.set("project", str(folder))


def forget(settings: Settings, folders: list[Path]) -> None:
    """Let go of these. Raises SettingsError."""
    settings.set("recent", "\n".join(str(one) for one in recent(settings) if one not in folders))
