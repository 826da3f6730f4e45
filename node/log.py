"""The node's log: one JSON object a line, a stable event name in each, bounded on disk. Logging never fails work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from netsky.node.limits import LOG_BYTES_MAX, LOG_FILES_MAX, LOG_LINE_BYTES_MAX
from netsky.node.seams.files import Files
from netsky.node.seams.time import Time


class Log:
    """`event("bus.recovered", files=3)` appends a line to `node.log`; full files move to `node.log.1` and on."""

    def __init__(
        self,
        files: Files,
        folder: str,
        time: Time,
        *,
        name: str = "node.log",
        bytes_max: int = LOG_BYTES_MAX,
        files_max: int = LOG_FILES_MAX,
        also: Callable[[str], None] | None = None,
    ) -> None:
        files.make_folder(folder)
        self._files = files
        self._folder = files.open_folder(folder)
        self._time = time
        self._name = name
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._also = also
        facts = files.facts(self._folder, name)
        self._size = facts.size if facts is not None else 0
        self.lost = 0
        """Lines that could not be written, a full disk for example."""

    def event(self, event: str, *, level: str = "info", **fields: Any) -> None:
        line = self._line(event, level, fields)
        if self._also is not None:
            self._also(line)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._size + len(data) > self._bytes_max:
                self._rotate()
            self._files.append(self._folder, self._name, data)
            self._size += len(data)
        except OSError:
            self.lost += 1

    def warn(self, event: str, **fields: Any) -> None:
        self.event(event, level="warn", **fields)

    def error(self, event: str, **fields: Any) -> None:
        self.event(event, level="error", **fields)

    def close(self) -> None:
        self._files.close(self._folder)

    def _line(self, event: str, level: str, fields: dict[str, Any]) -> str:
        head = {"at": self._time.wall(), "level": level, "event": event}
        line = json.dumps(head | fields, ensure_ascii=False, default=_readable)
        if len(line) > LOG_LINE_BYTES_MAX:
            head["cut"] = line[: LOG_LINE_BYTES_MAX // 2]
            line = json.dumps(head, ensure_ascii=False)
        return line

    def _rotate(self) -> None:
        for number in range(self._files_max - 1, 0, -1):
            older = f"{self._name}.{number}"
            newer = self._name if number == 1 else f"{self._name}.{number - 1}"
            self._files.remove(self._folder, older)
            self._files.move(self._folder, newer, self._folder, older)
        self._size = 0


def _readable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
