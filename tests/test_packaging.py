"""What a stranger runs first: the scripts, the wheel, and a README that is true."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_readme_names_only_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)#:]+)\)", text)) | set(re.findall(r"^(packaging/\w+\.sh)", text, re.M))
    assert len(named) > 6
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_scripts_can_be_run_and_are_valid_shell() -> None:
    for script in (*ROOT.glob("packaging/*.sh"), ROOT / ".ci/run"):
        subprocess.run(["bash", "-n", str(script)], check=True)
        if script.name != "setup.sh":
            assert script.stat().st_mode & 0o111, script


def test_the_starter_models_script_is_valid_shell_and_calls_scripts_that_exist() -> None:
    script = ROOT / "packaging/starter_model/make_all.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    called = re.findall(r"\b(?:run|start) (\w+\.py)", script.read_text(encoding="utf-8"))
    assert len(called) == 7
    assert [name for name in called if not (script.parent / name).exists()] == []


def test_setting_up_again_when_all_is_there_takes_no_time(tmp_path: Path) -> None:
    """The second start compares one line; it neither asks pip nor looks for libraries."""
    for name in ("pyproject.toml", "packaging/setup.sh", "packaging/constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    sums = 'cat "$root/pyproject.toml" "$root/packaging/constraints.txt" | cksum'
    for extra in ("", "[dev]"):
        script = (f'set -eu; . packaging/setup.sh; echo "{extra} $({sums})" > "$venv/ready"; ensure_environment ""; '
                  "echo ready")
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin"}, timeout=20)
        assert (done.stdout.strip(), done.stderr, done.returncode) == ("ready", "", 0)
    assert [p.name for p in (tmp_path / ".venv").iterdir()] == ["ready"]


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {re.split("[=@ ]", line)[0].lower().replace("_", "-")
              for line in (ROOT / "packaging/constraints.txt").read_text().splitlines() if "==" in line}
    wanted = {re.split(r"[<>=;\[ ]", d)[0].lower().replace("_", "-")
              for d in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    assert wanted - pinned == set()


def test_the_wheel_holds_the_resources_and_both_commands(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True,
                   capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        for wanted in ("resources/starter/model.safetensors", "resources/catalog.toml", "resources/icons/add.svg",
                       "resources/samples/samples.json", "desktop/window.py"):
            assert f"mmstudio/{wanted}" in names
        entries = wheel.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert "mmstudio = mmstudio.__main__:main" in entries
    assert "mmstudio-desktop = mmstudio.__main__:main" in entries
