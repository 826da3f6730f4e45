"""The marker of an escalation that reached nobody, written and cleared by plain files."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from netsky.node.escalate.limits import MARKER_DAYS
from netsky.node.marker import BYTES_MAX, FOLDER, Marker, decode, encode, path_of

NAME = "escalate-failed"
CLEAR = "an escalation that goes through: netsky escalate --test"


def write(home: str, reason: str, subject: str) -> str | None:
    """Why it could not be written, or None. Older failures that nothing has cleared are counted on."""
    now = time.time_ns()
    try:
        before = _read(home)
        data = {"subject": subject, "failures": 1, "since": now}
        if before is not None and before.says(now):
            data |= {"failures": _whole(before, "failures", 1) + 1, "since": _whole(before, "since", now)}
        marker = Marker(NAME, "escalate", reason, now, now + MARKER_DAYS * 86_400 * 10**9, CLEAR, data)
        _put(home, encode(marker))
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def clear(home: str) -> None:
    with suppress(OSError):  # it lapses by itself
        os.unlink(path_of(home, NAME))


def _read(home: str) -> Marker | None:
    try:
        with open(path_of(home, NAME), "rb") as file:
            return decode(file.read(BYTES_MAX))
    except OSError:
        return None


def _whole(marker: Marker, name: str, otherwise: int) -> int:
    found = marker.data.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else otherwise


def _put(home: str, data: bytes) -> None:
    """Whole or not at all; a link that stands there is replaced, not followed."""
    folder = os.path.join(home, FOLDER)
    os.makedirs(folder, 0o700, exist_ok=True)
    part = os.path.join(folder, f".{NAME}.{os.getpid()}.part")
    with suppress(FileNotFoundError):
        os.unlink(part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)
        os.replace(part, path_of(home, NAME))
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise
