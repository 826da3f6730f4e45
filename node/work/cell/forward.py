"""Inside a cell: programs know proxies by host and port, and the node's proxy is a Unix socket. This is between them.

Run as a script in front of the program: `python -I -S forward.py SOCKET PORT -- PROGRAM...`. It listens on the cell's
own loopback, leaves a process there that carries bytes, and becomes the program. It decides nothing: whoever is inside
could as well speak to the socket itself.
"""

from __future__ import annotations

import os
import select
import socket
import sys

CHUNK = 64 * 1024
BACKLOG = 64


class Way:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, to: socket.socket) -> None:
        self.source = source
        self.to = to
        self.held = b""
        self.over = False
        """Nothing more comes from the source, and what came was passed on."""

    def read(self) -> None:
        try:
            self.held = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.held = b""
        if not self.held:
            self._end()

    def write(self) -> None:
        try:
            self.held = self.held[self.to.send(self.held) :]
        except BlockingIOError:
            return
        except OSError:
            self.held = b""
            self._end()

    def _end(self) -> None:
        self.over = True
        try:
            self.to.shutdown(socket.SHUT_WR)
        except OSError:
            return


def connect(near: socket.socket, path: str) -> list[Way]:
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect(path)
    except OSError:
        near.close()
        far.close()
        return []
    near.setblocking(False)
    far.setblocking(False)
    return [Way(near, far), Way(far, near)]


def carry(listening: socket.socket, path: str) -> None:
    ways: list[Way] = []
    while True:
        read = [way.source for way in ways if not way.held and not way.over]
        write = [way.to for way in ways if way.held]
        readable, writable, _ = select.select([listening, *read], write, [])
        for way in ways:
            if way.held and way.to in writable:
                way.write()
            elif not way.held and not way.over and way.source in readable:
                way.read()
        for one, other in zip(ways[::2], ways[1::2], strict=True):
            if one.over and other.over:
                one.source.close()
                one.to.close()
                ways.remove(one)
                ways.remove(other)
        if listening in readable:
            near, _ = listening.accept()
            ways += connect(near, path)


def main(arguments: list[str]) -> None:
    path, port, separator, *argv = arguments
    assert separator == "--"
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(port)))
        listening.listen(BACKLOG)
        if os.fork() == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)  # so that the program has no child that it did not start
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            try:
                carry(listening, path)
            finally:
                os._exit(1)
    os.wait()
    try:
        os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as e:
        sys.exit(f"{argv[0]} cannot be started: {e.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
