"""What a project keeps of itself besides its items: named values of JSON, in a table of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmstudio.library.kept import KeptTable


class ProjectSettings:
    """Values by name. Not for concurrent writers. A change is on the disk when ``set`` returns, else ProjectError is
    raised.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self._table = KeptTable(folder, "settings", _schema, "id", read_only)
        rows = self._table.read().to_pylist()
        self._ids = {row["name"]: row["id"] for row in rows}
        self._values: dict[str, Any] = {row["name"]: json.loads(row["value"]) for row in rows}

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default`` where there is none, which None is too."""
        value = self._values.get(name)
        return default if value is None else value

    def set(self, name: str, value: Any) -> None:
        """Keep a value that JSON can hold."""
        if self._values.get(name) == value:
            return
        identity = self._ids.get(name, 1 + max(self._ids.values(), default=0))
        (self._table.update if name in self._ids else self._table.add)(_row(identity, name, value))
        self._ids[name], self._values[name] = identity, value

    def close(self) -> None:
        self._table.close()


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.int64()), ("name", pa.string()), ("value", pa.string())])


def _row(identity: int, name: str, value: Any) -> Any:
    import pyarrow as pa

    return pa.table({"id": [identity], "name": [name], "value": [json.dumps(value, ensure_ascii=False)]},
                    schema=_schema())
