"""One request to a daemon by a plain socket, with one deadline for all of it."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from netsky.node.escalate.limits import ACCEPT_SECONDS

_ANSWER_BYTES_MAX = 64 * 1024


class NoAnswer(Exception):
    """The daemon is dead (`code` not_running) or hangs (timed_out)."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def ask(path: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
    """The answer as it came: `ok` with `data`, or an `error`."""
    until = time.monotonic() + ACCEPT_SECONDS
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(ACCEPT_SECONDS)
            wire.connect(path)
            wire.sendall(json.dumps({"n": 1, "verb": verb, "args": args}).encode() + b"\n")
            answer = _line(wire, until)
        found = json.loads(answer)
    except TimeoutError:
        raise NoAnswer("timed_out", f"the node did not answer within {ACCEPT_SECONDS:g} s") from None
    except OSError as error:
        raise NoAnswer("not_running", f"no node answers at {path} ({error.strerror or error})") from None
    except ValueError:
        raise NoAnswer("protocol", f"the node at {path} said something that is no answer") from None
    if not isinstance(found, dict):
        raise NoAnswer("protocol", f"the node at {path} said something that is no answer")
    return found


def _line(wire: socket.socket, until: float) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        wire.settimeout(left)
        more = wire.recv(_ANSWER_BYTES_MAX)
        if not more or len(data) > _ANSWER_BYTES_MAX:
            raise ConnectionResetError("the connection was closed before an answer came")
        data += more
    return data
