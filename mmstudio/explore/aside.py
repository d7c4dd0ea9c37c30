"""One process beside the program for long sums on vectors: it stays, so that what it has compiled and loaded is there
for the next one, and what it reckons does not hold up a window.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar, cast

from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

T = TypeVar("T")
TOLD_EVERY_SECONDS = 0.2
_WAIT_SECONDS, _PATIENCE_SECONDS = 0.03, 3.0


class Aside:
    """Runs the works of importable functions, one at a time; any thread may step them."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._free = threading.Lock()
        self._stopped = False

    def run(self, function: Callable[..., Work[T]], *arguments: Any) -> Work[T]:
        """The same work as ``function(*arguments)``, with fewer steps told. Closing it ends it over there too, by
        killing the process where a step takes long. Raises what the work raises, and StudioError where the process
        ended, as it does when memory is short.
        """
        while not self._free.acquire(blocking=False):
            yield Progress(0, 0, "waiting for what is reckoned now")
            time.sleep(_WAIT_SECONDS)
        ended = False
        try:
            connection = self._connected()
            _send(connection, (function, arguments))
            told = Progress(0, 0, "starting")
            while True:
                if not connection.poll(_WAIT_SECONDS):
                    yield told
                    continue
                kind, value = _receive(connection)
                if kind == "step":
                    yield value
                    told = Progress(value.done, value.total, value.text)
                    continue
                ended = True
                if kind == "failed":
                    raise value
                return cast(T, value)
        except (EOFError, OSError) as error:
            raise StudioError("The process that reckons beside the window has ended.",
                              hint="Memory may be short: try fewer items.") from error
        finally:
            if not ended:
                self._cancel()
            self._free.release()

    def stop(self) -> None:
        """End the process; what runs is not finished."""
        self._stopped = True
        self._kill()

    def _connected(self) -> Connection:
        if self._stopped:
            raise EOFError
        if self._process is None or not self._process.is_alive() or self._connection is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs,), name="aside", daemon=True)
            process.start()
            theirs.close()
            self._process, self._connection = process, ours
            if self._stopped:
                self._kill()
                raise EOFError
        return self._connection

    def _cancel(self) -> None:
        """Let it end what it is on, and what it tells meanwhile go unheard."""
        connection, until = self._connection, time.monotonic() + _PATIENCE_SECONDS
        if connection is None:
            return
        with suppress(EOFError, OSError):
            _send(connection, None)
            while time.monotonic() < until:
                if connection.poll(_WAIT_SECONDS) and _receive(connection)[0] == "cancelled":
                    return
        self._kill()

    def _kill(self) -> None:
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if process is not None:
            process.kill()
            process.join()
        if connection is not None:
            connection.close()


def serve(connection: Connection) -> None:
    """In the process: one work after the other, until the program ends."""
    with suppress(AttributeError, OSError):
        os.nice(10)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            asked = _receive(connection)
            if asked is not None:  # a cancel that came after the end
                _send(connection, _outcome(connection, *asked))
            else:
                _send(connection, ("cancelled", None))


def _outcome(connection: Connection, function: Callable[..., Work[Any]], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    work, told = function(*arguments), 0.0
    try:
        while True:
            step = next(work)
            if connection.poll():
                if _receive(connection) is None:
                    work.close()
                    return "cancelled", None
            elif time.monotonic() - told > TOLD_EVERY_SECONDS:
                _send(connection, ("step", step))
                told = time.monotonic()
    except StopIteration as stop:
        return "done", stop.value
    except Exception as error:  # noqa: BLE001 - told to who asked
        return "failed", error


def _send(connection: Connection, value: Any) -> None:
    """Arrays go as they lie in memory, because pickling many would hold the interpreter's lock for long."""
    buffers: list[pickle.PickleBuffer] = []
    connection.send_bytes(pickle.dumps((value,), 5, buffer_callback=buffers.append))
    connection.send_bytes(len(buffers).to_bytes(4, "little"))
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def _receive(connection: Connection) -> Any:
    head = connection.recv_bytes()
    number = int.from_bytes(connection.recv_bytes(), "little")
    return pickle.loads(head, buffers=[bytearray(connection.recv_bytes()) for _ in range(number)])[0]
