"""Settings survive, are checked, and a broken file never stops the studio."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmstudio import paths, settings
from mmstudio.errors import SettingsError


def test_a_value_is_kept_over_a_restart(home: Path) -> None:
    first, _ = settings.load()
    first.set("theme", "light")
    assert settings.load()[0]["theme"] == "light"


@pytest.mark.parametrize(("name", "value"), [
    ("theme", "pink"), ("batch", -1), ("batch", "many"), ("animations", 3), ("frame_seconds", 1e9), ("unknown", 1)])
def test_a_value_that_is_not_accepted_says_so_and_changes_nothing(name: str, value: object, home: Path) -> None:
    loaded, _ = settings.load()
    with pytest.raises(SettingsError):
        loaded.set(name, value)
    assert loaded.values == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b'{"theme": "pink", "batch": 16}'])
def test_a_broken_file_gives_defaults_and_a_sentence(content: bytes, home: Path) -> None:
    paths.settings_file().write_bytes(content)
    loaded, complaints = settings.load()
    assert loaded["theme"] == "system"
    assert len(complaints) == 1


def test_an_unfinished_write_leaves_the_old_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "x.json"
    paths.write_atomically(file, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        paths.write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert [f.name for f in home.iterdir()] == ["x.json"]
