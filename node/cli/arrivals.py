"""How a command in the shell hears of new messages: from the node while it is up, else by looking."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import sys
from types import TracebackType
from typing import Self

from netsky.node.cli.dial import Dialer

_LOOK_SECONDS = 0.25
"""How often the folder is looked at while no node tells of new files."""

_LOOK_ANYWAY_SECONDS = 2.0
"""And while one does: for a file that came between a look and the node's hearing of us."""

_DIAL_SECONDS = 2.0


class Arrivals:
    """A bell that the node rings. What it says is not read: the folder tells what came."""

    def __init__(self, node: Dialer, actor: str) -> None:
        self._path = node.socket_path
        self._actor = actor
        self._socket: socket.socket | None = None
        self._reader = _pipe_to_reader()
        self._listen()

    def wait(self, *also: int) -> None:
        """Until something may have come, or one of these descriptors can be read.

        BrokenPipeError once nobody reads our stdout any more: `… --follow | head -1` would else keep other drains out
        until the next message.
        """
        bell = () if self._socket is None else (self._socket.fileno(),)
        limit = _LOOK_SECONDS if self._socket is None else _LOOK_ANYWAY_SECONDS
        ready, _, _ = select.select([*bell, *also, *self._reader], [], [], limit)
        if self._reader and self._reader[0] in ready:
            raise BrokenPipeError
        if self._socket is None:
            self._listen()
        elif self._socket.fileno() in ready:
            self._hear(self._socket)

    def _listen(self) -> None:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bell.settimeout(_DIAL_SECONDS)
        request = json.dumps({"n": 1, "verb": "follow", "args": {"actor": self._actor}})
        try:
            bell.connect(self._path)
            bell.sendall(request.encode() + b"\n")
        except (OSError, ValueError):
            bell.close()
            return
        bell.setblocking(False)
        self._socket = bell

    def _hear(self, bell: socket.socket) -> None:
        try:
            while data := bell.recv(65_536):
                if b'"ok": false' in data or b'"ok":false' in data:
                    break  # it will not tell us: look instead
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def _pipe_to_reader() -> tuple[int, ...]:
    """Our stdout, if it is a pipe: its writing end becomes readable when the reading one was closed, and only then."""
    try:
        number = sys.stdout.fileno()
        return (number,) if stat.S_ISFIFO(os.fstat(number).st_mode) else ()
    except (OSError, ValueError):
        return ()
