"""The wall clock of one daemon of a mesh campaign: set by the test, read by the daemon from a file beside its home.

Only the daemon has it. Whoever writes the history has the machine's clock, and what a database says by the daemon's is
told by the machine's (`truth`).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

LATE_NS = 2 * 10**9
"""What a commit says may be older than the setting of the clock by so much."""


def beside(home: str, name: str) -> str:
    """Where the trouble of a home is told: not in it, since it may be full."""
    return f"{home}.{name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """From when on (the machine's time) the clock shows what, and how much it gains each second; -1: it stands."""

    since: int
    shown: int
    gains: float

    def at(self, true: int) -> int:
        return self.shown + round((true - self.since) * (1 + self.gains))

    def when(self, shown: int, not_before: int) -> int | None:
        """The time at which it shows that: of a clock that stands any, or none."""
        if self.gains > -1:
            return self.since + round((shown - self.shown) / (1 + self.gains))
        return max(self.since, not_before) if shown == self.shown else None


class Clock:
    """The test's end."""

    def __init__(self, home: str) -> None:
        self._path = beside(home, "clock")
        now = time.time_ns()
        self._settings = [Setting(now, now, 0.0)]

    @property
    def was_wrong(self) -> bool:
        return len(self._settings) > 1

    def set(self, jump_ns: int, gains: float) -> None:
        now = time.time_ns()
        self._put(Setting(now, self._settings[-1].at(now) + jump_ns, gains))

    def set_right(self) -> None:
        now = time.time_ns()
        self._put(Setting(now, now, 0.0))

    def truth(self, shown: int, not_before: int = 0) -> int:
        """The earliest moment from then on at which the clock may have shown that."""
        if not self.was_wrong:
            return shown
        ends = [one.since for one in self._settings[1:]] + [1 << 62]
        for setting, end in zip(self._settings, ends, strict=True):
            when = setting.when(shown, not_before)
            if when is not None and max(setting.since, not_before) <= when + LATE_NS and when <= end + LATE_NS:
                return max(when, not_before)
        return max(shown, not_before)

    def _put(self, setting: Setting) -> None:
        self._settings.append(setting)
        with open(f"{self._path}.new", "w", encoding="ascii") as file:
            json.dump([setting.since, setting.shown, setting.gains], file)
        os.replace(file.name, self._path)


class Shown:
    """The daemon's end."""

    def __init__(self, home: str) -> None:
        self._path = beside(home, "clock")
        self._read = 0
        self._setting = Setting(time.time_ns(), time.time_ns(), 0.0)

    def wall(self) -> int:
        try:
            changed = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return time.time_ns()
        if changed != self._read:
            with open(self._path, encoding="ascii") as file:
                self._setting, self._read = Setting(*json.load(file)), changed
        return self._setting.at(time.time_ns())


class Truth:
    """The machine's clock, for who bears witness."""

    def wall(self) -> int:
        return time.time_ns()

    def monotonic(self) -> int:
        return time.monotonic_ns()

    async def sleep_until(self, monotonic_ns: int) -> None:
        raise NotImplementedError
