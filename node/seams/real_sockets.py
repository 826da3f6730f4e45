"""Unix sockets, and TCP for the proxies of cells, on trio."""

from __future__ import annotations

import errno
import os
import socket
import stat

import trio

_WAITED_OUT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""We ran out of something that others of our own tasks will give back."""

_THE_PEERS_FAULT = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM})
_ACCEPT_PAUSE_S = 0.1
_BACKLOG = 64
_LOOKUPS_MAX = 8
"""Names asked for at once: nobody can take back the thread of a server that does not answer, so they get their own."""


class RealStream:
    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._socket = sock

    async def receive(self, limit: int) -> bytes:
        try:
            return await self._socket.recv(limit)
        except (ConnectionError, trio.ClosedResourceError):
            return b""
        except OSError as error:
            if error.errno == errno.EBADF:  # closed by us, between two calls
                return b""
            raise

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[await self._socket.send(view) :]
        except trio.ClosedResourceError:
            raise ConnectionError("the connection was closed") from None
        except OSError as error:
            if error.errno == errno.EBADF:
                raise ConnectionError("the connection was closed") from None
            raise

    def close(self) -> None:
        self._socket.close()


class RealListener:
    def __init__(self, sock: trio.socket.SocketType, path: str) -> None:
        self._socket = sock
        self._path = path
        self._identity = _identity(path)

    async def accept(self) -> RealStream:
        while True:
            try:
                sock, _ = await self._socket.accept()
            except OSError as error:
                if error.errno in _WAITED_OUT:
                    await trio.sleep(_ACCEPT_PAUSE_S)
                elif error.errno not in _THE_PEERS_FAULT:
                    raise
            else:
                return RealStream(sock)

    def close(self) -> None:
        if self._identity is not None and _identity(self._path) == self._identity:
            os.unlink(self._path)  # only ours: a successor may have put its own there already
        self._identity = None
        self._socket.close()


class RealSockets:
    def __init__(self) -> None:
        self._lookups = trio.CapacityLimiter(_LOOKUPS_MAX)

    async def listen(self, path: str, mode: int = 0o600) -> RealListener:
        _remove_stale(path)
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.bind(path)
            os.chmod(path, mode)  # before listen: nobody can have connected yet
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        return RealListener(sock, path)

    async def connect(self, path: str) -> RealStream:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return RealStream(sock)

    async def lookup(self, host: str) -> list[str]:
        def ask() -> list[str]:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(address[0]) for *_, address in found))

        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=self._lookups)

    async def reach(self, address: str, port: int) -> RealStream:
        sock = trio.socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            await sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return RealStream(sock)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino


def _remove_stale(path: str) -> None:
    """A socket file of a daemon that is gone; anything else at that place is not ours to remove."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        raise FileExistsError(errno.EEXIST, "something that is not a socket stands where a socket belongs", path)
    os.unlink(path)
