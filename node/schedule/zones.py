"""Time zones by their IANA names, from the machine or from the package that ships with this program."""

from __future__ import annotations

import re
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME = "UTC"

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


class NoZone(Exception):
    """The message is a sentence for people."""


class Zones:
    """Each is read once."""

    def __init__(self) -> None:
        self._known: dict[str, tzinfo] = {}

    def __call__(self, name: str) -> tzinfo:
        if name not in self._known:
            self._known[name] = _read(name)
        return self._known[name]


def _read(name: str) -> tzinfo:
    if _NAME.fullmatch(name) is not None:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # a folder, a file that is none, or nothing of that name
    raise NoZone(f"{name[:64]!a} is no time zone: write a name like Europe/Berlin, America/New_York or UTC")
