"""The rooms under the window need no Qt, and the start-up path needs no torch."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import mmstudio

_ROOMS = [
    m.name for m in pkgutil.walk_packages(mmstudio.__path__, "mmstudio.")
    if not m.name.startswith("mmstudio.desktop") and m.name != "mmstudio.__main__"
]


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_every_room_but_the_desktop_imports_without_qt() -> None:
    """A machine without Qt's libraries can still use the command line."""
    code = ("import sys, importlib\n"
            "for name in ('PySide6', 'shiboken6', 'pyqtgraph'): sys.modules[name] = None\n"
            f"for room in {_ROOMS!r}: importlib.import_module(room)\n")
    done = _run(code)
    assert done.returncode == 0, done.stderr


def test_the_window_is_imported_without_torch_and_other_heavy_things() -> None:
    """The window paints before they are loaded."""
    done = _run("import sys, mmstudio.desktop.window\n"
                "heavy = {'torch', 'transformers', 'sklearn', 'av', 'pyarrow', 'pyqtgraph', 'scipy',\n"
                "         'mmstudio.explain.methods', 'mmstudio.desktop.panels.map_beside'}\n"
                "print(sorted(heavy & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_command_line_answers_help_without_torch() -> None:
    done = _run("import sys\nfrom mmstudio import cli\n"
                "try: cli.main(['--help'])\nexcept SystemExit as e: assert e.code == 0\n"
                "assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr
    assert "encode" in done.stdout


def test_whoever_paints_a_widget_ends_it_whatever_happens() -> None:
    """A painter that an exception's traceback keeps alive would leave the whole window unpainted."""
    painting, unended = 0, list[str]()
    for file in sorted(Path(mmstudio.__path__[0], "desktop").rglob("*.py")):
        for found in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(found, ast.FunctionDef) and found.name == "paintEvent":
                made = [node for node in ast.walk(found) if isinstance(node, ast.Call)
                        and isinstance(node.func, ast.Name) and node.func.id == "QPainter"]
                within = [item.context_expr for node in ast.walk(found) if isinstance(node, ast.With)
                          for item in node.items]
                painting += len(made)
                unended += [f"{file.name}:{call.lineno}" for call in made if call not in within]
    assert painting > 20
    assert unended == []
