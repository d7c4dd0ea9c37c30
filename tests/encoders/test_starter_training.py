"""The scripts that trained the starter model: wider towers, examples made ahead, and going on where they stopped."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from mmstudio.encoders.starter_towers import AudioTower, ImageTower, StarterConfig, TextTower

SCRIPTS = Path(__file__).resolve().parents[2] / "packaging" / "starter_model"
MODULES = ("common", "course", "ahead")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.setenv("STARTER_RUN", str(tmp_path))
    monkeypatch.setenv("STARTER_DEVICE", "cpu")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)


def test_a_width_is_kept_with_the_run_and_its_towers_can_be_built(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    common = scripts["common"]
    assert common.wider(StarterConfig(), 1) == StarterConfig()
    monkeypatch.setenv("STARTER_WIDTH", "1.7")
    wide = common.config()
    monkeypatch.setenv("STARTER_WIDTH", "1")
    assert common.config() == wide == StarterConfig.read(tmp_path / "config.json")
    assert wide.text_width == wide.dim
    assert wide.image_width > StarterConfig().image_width
    for tower in (TextTower, ImageTower, AudioTower):
        tower(wide)


@pytest.mark.parametrize("processes", [0, 1])
def test_examples_come_in_order_whether_made_here_or_beside(scripts: dict[str, ModuleType], processes: int) -> None:
    made = scripts["ahead"].Ahead(divmod, lambda step, seen: (step + 1, seen + 2), processes)
    try:
        places = [(10, 1), (11, 3), (12, 5), (20, 7), (21, 9)]
        assert [made.at(*place) for place in places] == [divmod(*place) for place in places]
    finally:
        made.close()


def test_a_stopped_training_goes_on_with_the_same_losses_and_names_its_device(
    scripts: dict[str, ModuleType], tmp_path: Path,
) -> None:
    def course() -> object:
        torch.manual_seed(1)
        return scripts["course"].Course("toy", nn.Linear(4, 4), nn.Module(), 20)

    def learn(one: object, steps: int) -> list[float]:
        out = []
        for _ in range(steps):
            loss = one.tower(torch.eye(4) * (one.step + 1)).square().mean()  # type: ignore[attr-defined]
            out.append(loss.item())
            one.learn(loss, 1)  # type: ignore[attr-defined]
        return out

    whole = learn(course(), 8)
    first = course()
    begun = learn(first, 5)
    first.save()  # type: ignore[attr-defined]
    assert begun + learn(course(), 3) == pytest.approx(whole, abs=1e-7)
    kept = torch.load(tmp_path / "toy.pt", weights_only=False)
    assert "CPU cores" in kept["device"]
