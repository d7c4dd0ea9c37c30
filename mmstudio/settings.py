"""The person's settings: one table from which the dialog, the file and the defaults are made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmstudio import paths
from mmstudio.errors import SettingsError

Value = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """One setting: its ``name`` in the file, ``default`` (whose type is the setting's type), label and explanation."""

    name: str
    default: Value
    label: str
    text: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    group: str = "General"
    shown: bool = True
    """Whether a person sets it in the dialog; else the studio remembers it."""

    def check(self, value: Any) -> Value:
        """Return ``value`` in the setting's type, or raise SettingsError with what would be accepted."""
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise SettingsError(f"“{self.label}” takes a {kind.__name__}, not {value!r}.")
        if self.choices and value not in self.choices:
            raise SettingsError(f"“{self.label}” is one of {', '.join(self.choices)}, not {value!r}.")
        if self.high > self.low and not self.low <= float(value) <= self.high:
            raise SettingsError(f"“{self.label}” lies between {self.low:g} and {self.high:g}; {value!r} does not.")
        return value


TABLE: tuple[Setting, ...] = (
    Setting("theme", "system", "Theme", "Dark, light, or what the desktop uses.", ("system", "dark", "light"),
            group="Look"),
    Setting("animations", True, "Moving points", "Let the map's points glide to their new places.", group="Look"),
    Setting("project", "", "Project", "The folder that opens at the start: the last one that was open; empty opens “My "
            "project”."),
    Setting("recent", "", "Recent projects", "The folders of the projects that were open last, one in a line.",
            shown=False),
    Setting("model", "starter", "Model", "The encoder that new items are read with: “starter”, a folder, or the name "
            "of a model in the local hub cache.", group="Encoding"),
    Setting("device", "auto", "Device", "Where models run; “auto” takes CUDA, else MPS, else the CPU.",
            ("auto", "cpu", "cuda", "mps"), group="Encoding"),
    Setting("batch", 0, "Batch size", "Items per model call; 0 finds it by itself.", low=0, high=4096,
            group="Encoding"),
    Setting("half_vectors", False, "Vectors in half precision", "A model's vectors that are new in a project are kept "
            "as float16: half the room in its tables, and neighbours that hardly differ.", group="Encoding"),
    Setting("max_image_megapixels", 180, "Largest picture (megapixels)", "Pictures above this are refused: a small "
            "file can unfold into one that fills the memory.", low=1, high=4000, group="Media"),
    Setting("max_text_megabytes", 64, "Largest text (MB)", "Texts above this are refused.", low=1, high=2048,
            group="Media"),
    Setting("passage_characters", 600, "Passage length (characters)", "Longer texts are split into passages.",
            low=80, high=20000, group="Media"),
    Setting("max_passages", 10000, "Passages per file", "The rest of a longer text or table is left out, with a word.",
            low=1, high=1000000, group="Media"),
    Setting("frame_seconds", 5.0, "Video frames every (seconds)", "One frame is taken at this distance, and at every "
            "scene change between.", low=0.2, high=600, group="Media"),
    Setting("max_frames", 64, "Frames per video", "Long videos are sampled more thinly.", low=1, high=4096,
            group="Media"),
    Setting("starter_hint", True, "Say when the starter is the wrong model", "Tell once, when photographs or "
            "recordings are added, that the starter model knows drawings and synthetic speech.", group="Encoding"),
    Setting("captions", True, "Captions beside files", "What stands in x.txt, x.caption or x.json is the caption of "
            "x.jpg and forms a sample with it.", group="Media"),
    Setting("folder_labels", True, "Folders as tags", "Where every file of a folder lies in a folder of its class, "
            "the class becomes its tag.", group="Media"),
    Setting("copy_media", False, "Copy media into the project", "Files that are added are copied, so that the project "
            "does not depend on where they lie.", group="Media"),
    Setting("previews_megabytes", 2000, "Room for previews (MB)", "Small pictures of a project that were not looked at "
            "for longest are dropped beyond this, and made again when they are seen; holds from the next opening on.",
            low=10, high=1000000, group="Media"),
    Setting("microphone", "", "Microphone", "Name of the recording device; empty takes the system's.", group="Sound"),
)
BY_NAME = {setting.name: setting for setting in TABLE}


@dataclass
class Settings:
    """Values by name; what is not set has its default."""

    values: dict[str, Value] = field(default_factory=dict)
    file: Path | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name, BY_NAME[name].default)

    def set(self, name: str, value: Any) -> None:
        """Check and keep a value, and write the file when there is one."""
        if name not in BY_NAME:
            raise SettingsError(f"There is no setting “{name}”.")
        self.values[name] = BY_NAME[name].check(value)
        self.save()

    def save(self) -> None:
        if not self.file:
            return
        try:
            paths.write_atomically(self.file, json.dumps(self.values, indent=2, sort_keys=True).encode())
        except OSError as error:
            raise SettingsError(f"The settings could not be written ({error.strerror}).", path=self.file,
                                hint="They hold until the studio is closed.") from error


def load(file: Path | None = None) -> tuple[Settings, list[str]]:
    """Read the settings; a value or a file that cannot be read becomes its default, with a sentence that says so."""
    file = file or paths.settings_file()
    settings = Settings(file=file)
    complaints: list[str] = []
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not a table")
    except FileNotFoundError:
        return settings, complaints
    except (OSError, ValueError) as error:
        return settings, [f"The settings in {file} could not be read ({error}); the defaults are used."]
    for name, value in found.items():
        if name in BY_NAME:
            try:
                settings.values[name] = BY_NAME[name].check(value)
            except SettingsError as error:
                complaints.append(f"{error} The default is used.")
    return settings, complaints
