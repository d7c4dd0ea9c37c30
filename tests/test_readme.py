"""What the README tells a person to type does what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmstudio.encoders import Encoder
from mmstudio.library import VectorView
from mmstudio.progress import finish
from mmstudio.project import Project

README = Path(__file__).parents[1] / "README.md"
Make = Callable[..., Path]


def test_the_lines_of_python_read_a_project(
    tmp_path: Path, make_picture: Make, starter: Encoder, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    folder = make_picture("in/a.png", "red").parent
    make_picture("in/b.png", "blue")
    made = Project.open(tmp_path / "my-project")
    try:
        finish(made.add([folder], pool))
        finish(made.encode(starter, pool))
    finally:
        made.close()
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(blocks[0], names)
    project, table, given = names["project"], names["table"], names["vectors"]
    assert isinstance(project, Project)
    try:
        assert isinstance(table, pa.Table)
        assert table.num_rows == 2
        assert isinstance(given, VectorView)
        assert sorted(given.ids.tolist()) == sorted(table["id"].to_pylist())
        assert given.vectors.shape == (2, starter.dim)
        assert np.allclose(np.linalg.norm(given.vectors, axis=1), 1, atol=1e-3)
    finally:
        project.close()
