"""Where things lie: the only module that knows, installed, in a checkout and frozen."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

APP = "mmstudio"


def resources() -> Path:
    """The folder of icons, samples and the starter model."""
    frozen = getattr(sys, "_MEIPASS", None)
    here = Path(__file__).resolve().parent
    candidates = [here / "resources", here.parent / "resources"]
    if frozen:
        candidates.insert(0, Path(frozen) / "resources")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"The studio's resources are missing; looked in {', '.join(map(str, candidates))}.")


def starter_model() -> Path:
    """The folder of the model that ships with the studio."""
    return resources() / "starter"


def samples() -> Path:
    """The folder of the example project's media."""
    return resources() / "samples"


def user_state() -> Path:
    """The folder for settings and projects; ``MMSTUDIO_HOME`` moves it."""
    home = os.environ.get("MMSTUDIO_HOME")
    if home:
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def compiled_code() -> Path:
    """The folder for machine code that this computer made for itself and can make again."""
    if os.environ.get("MMSTUDIO_HOME"):
        return user_state() / "compiled"
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP, appauthor=False)) / "compiled"


def settings_file() -> Path:
    """The file that holds the person's settings."""
    return user_state() / "settings.json"


def default_project() -> Path:
    """The project that opens when none is named."""
    return user_state() / "projects" / "My project"


def example_project() -> Path:
    """The project made from the samples that ship with the studio."""
    return user_state() / "projects" / "Example"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` so that a crash leaves either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
