"""Start: the window first, everything heavy after it is painted."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from mmstudio.encoders.hub import stay_offline


def main(arguments: list[str]) -> int:
    """Open the studio with these files; gives the exit code."""
    sys.setswitchinterval(0.001)  # a waiting GUI thread gets the interpreter within a millisecond
    stay_offline()
    if sys.platform.startswith("linux") and not any(
            os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        print("mmstudio: there is no screen here (DISPLAY is not set). “mmstudio --help” lists what works without one.",
              file=sys.stderr)
        return 2
    from PySide6.QtGui import QPixmapCache
    from PySide6.QtWidgets import QApplication

    application = QApplication([sys.argv[0]])
    application.setApplicationName("Multimodal Studio")
    application.setDesktopFileName("mmstudio")
    application.setStyle("Fusion")
    from mmstudio import paths, settings
    from mmstudio.desktop.session import Session
    from mmstudio.desktop.theme import THEME
    from mmstudio.desktop.window import MainWindow
    from mmstudio.desktop.worker import unexpected

    chosen, complaints = settings.load()
    THEME.apply(chosen["theme"])
    THEME.follow_desktop()
    QPixmapCache.setCacheLimit(96 * 1024)  # kilobytes: the faces of a few thousand items
    session = Session(chosen)
    window = MainWindow(session)
    files = [Path(argument) for argument in arguments if not argument.startswith("-")]
    last = Path(chosen["project"]) if chosen["project"] else None
    folder = last if last and last.is_dir() else paths.default_project()
    window.painted.connect(lambda: session.start(folder, (lambda: window.add_paths(files)) if files else None))
    sys.excepthook = lambda kind, error, trace: session.failed.emit(unexpected(error))
    signal.signal(signal.SIGINT, lambda *_: window.close())
    for complaint in complaints:
        session.noted.emit(complaint)
    if os.environ.get("MMSTUDIO_TIMINGS"):
        _tell_timings(window, session, application)
    window.show()
    return application.exec()


def _tell_timings(window: object, session: object, application: object) -> None:
    """For tests/bench/bench_startup.py: print when the window was painted and the model ready, then quit."""
    started = time.time() - _process_age_seconds()

    def tell(name: str) -> None:
        torch_loaded = "torch" in sys.modules
        print(f"{name} {time.time() - started:.3f} torch={torch_loaded}", flush=True)

    def ready() -> None:
        if session.encoder is not None:  # type: ignore[attr-defined]
            tell("ready")
            window.close()  # type: ignore[attr-defined]
            application.quit()  # type: ignore[attr-defined]

    window.painted.connect(lambda: tell("painted"))  # type: ignore[attr-defined]
    session.encoderChanged.connect(ready)  # type: ignore[attr-defined]


def _process_age_seconds() -> float:
    """How long this process has run, by the kernel's clock where there is one."""
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime", encoding="ascii") as file:
            return float(file.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.perf_counter()
