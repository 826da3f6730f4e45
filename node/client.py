"""A plain client of the daemon's sockets, for the CLI and for any program without trio. Standard library only.

    with Client.connect(Home.find()) as node:
        print(node.call("ping"))
        for event in node.stream("events"):
            ...

Without a home, NETSKY_SOCKET names the socket: that is how an actor finds its node.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from netsky.node import errors
from netsky.node.home import Home
from netsky.node.limits import CONTROL_ANSWER_BYTES_MAX

CALL_SECONDS = 30.0
"""Longer than any verb takes that was not asked to wait."""

_READ_BYTES = 64 * 1024


class Client:
    """One connection. Not for use by several threads; after an error other than the node's own answer, close it."""

    def __init__(self, sock: socket.socket, path: str, timeout: float) -> None:
        self._socket = sock
        self._path = path
        self._timeout = timeout
        self._buffer = bytearray()
        self._number = 0

    @classmethod
    def connect(
        cls, home: Home | None = None, *, timeout: float = CALL_SECONDS, environ: Mapping[str, str] = os.environ
    ) -> Client:
        """To the operator's socket of a home, or, without one, to the socket that NETSKY_SOCKET names."""
        path = environ.get("NETSKY_SOCKET") if home is None else None
        return cls.connect_path(path or (home or Home.find(environ=environ)).operator_socket, timeout=timeout)

    @classmethod
    def connect_path(cls, path: str, *, timeout: float = CALL_SECONDS) -> Client:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except (OSError, ValueError) as error:
            sock.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise errors.Unreachable(
                f"no node answers at {path} ({reason})", next="netsky up", code="not_running"
            ) from None
        return cls(sock, path, timeout)

    def call(self, verb: str, /, **args: Any) -> dict[str, Any]:
        """Asks and waits for the answer. Raises the NetskyError that the node answered with."""
        return self.request(verb, args)

    def request(self, verb: str, args: Mapping[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """The same with the arguments as a mapping; `timeout` replaces the connection's for this one call."""
        number = self._ask(verb, args)
        self._socket.settimeout(timeout if timeout is not None else self._timeout)
        answer = self._answer(number)
        if "event" in answer:
            raise self._broken(f"the verb {verb} streams")
        return _data(answer)

    def stream(self, verb: str, /, *, idle: float | None = None, **args: Any) -> Iterator[dict[str, Any]]:
        """Each event of a streaming verb, until it ends. TimedOut after `idle` seconds without one."""
        number = self._ask(verb, args)
        self._socket.settimeout(idle)
        while True:
            answer = self._answer(number)
            if "event" not in answer:
                _data(answer)
                return
            event: dict[str, Any] = answer["event"]
            yield event

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, verb: str, args: Mapping[str, Any]) -> int:
        self._number += 1
        line = json.dumps(
            {"n": self._number, "verb": verb, "args": dict(args)}, ensure_ascii=False, separators=(",", ":")
        )
        try:
            data = line.encode() + b"\n"
        except UnicodeEncodeError:
            raise _not_utf8(verb, args) from None
        self._socket.settimeout(self._timeout)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self._timed_out() from None
        except OSError:
            # The node may have said why before it hung up; the answer is read like any other.
            pass
        return self._number

    def _answer(self, number: int) -> dict[str, Any]:
        line = self._line()
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._broken("a line that is not JSON") from None
        if not isinstance(answer, dict):
            raise self._broken("a line that is not an object")
        if answer.get("n") not in (number, None):  # null: an error about the connection, not about a request
            raise self._broken(f"an answer to request {answer.get('n')} where {number} was due")
        return answer

    def _line(self) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > CONTROL_ANSWER_BYTES_MAX:
                raise self._broken("a line without end")
            try:
                data = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                raise self._timed_out() from None
            except OSError:
                data = b""
            if not data:
                raise errors.Unreachable(
                    f"the node at {self._path} closed the connection before it answered",
                    next="netsky status",
                    code="connection_lost",
                )
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _timed_out(self) -> errors.TimedOut:
        return errors.TimedOut(f"the node at {self._path} did not answer in time", next="netsky doctor")

    def _broken(self, what: str) -> errors.NetskyError:
        return errors.NetskyError(
            f"the node at {self._path} sent {what}", next="netsky restart (is it of another version?)", code="protocol"
        )


def _not_utf8(verb: str, args: Mapping[str, Any]) -> errors.Usage:
    """Names the argument with half a character in it; a command line that is no UTF-8 brings such."""
    wrong = "an argument"
    for name, value in args.items():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            wrong = repr(name)
            break
    return errors.Usage(f"{verb}: {wrong} is not valid UTF-8", next=f"netsky help {verb}", code="not_utf8")


def _data(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok") is True:
        data: dict[str, Any] = answer.get("data") or {}
        return data
    raise error_from(answer.get("error"))


def error_from(found: object) -> errors.NetskyError:
    """The error of an answer, as the exception that its exit code names."""
    said: dict[str, Any] = found if isinstance(found, dict) else {}
    kind = errors.BY_EXIT.get(said.get("exit", errors.EXIT_FAILED), errors.NetskyError)
    return kind(
        str(said.get("message") or "the node failed without saying why"),
        next=str(said.get("next") or "netsky doctor"),
        code=str(said.get("code") or kind.default_code),
    )
