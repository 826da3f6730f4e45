"""Five fields, and when they are due.

What the fields mean is cronsim's to say (Debian's rules); the walk over the clock is our own, on instants: where the
clock moves by half an hour, cronsim leaves out due times.

Two sorts of lines, as in Debian's cron. One that names its minutes and hours is due once each day that fits: at an
hour that is skipped when the clock moves ahead it is due the moment after, of an hour that comes twice it is due the
first time. One whose minute or hour begins with `*` is due whenever the clock on the wall shows such a time.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError
from netsky.node.schedule.limits import LINE_CHARS_MAX, YEARS_MAX

_SECOND = 10**9
_QUARTER = 900
"""Seconds. The clocks of our time differ by whole quarters, so no hour begins within one."""

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_SYNTAX = "numbers, names of months and days, and * , - / L #"
_ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - cronsim wants some moment to begin at; nobody walks from it
_LAST_YEAR = 9_998


class BadLine(Exception):
    """The message is a sentence for people."""


class CronLine:
    """One line, understood."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        parts = self.text.split(" ")
        if len(self.text) > LINE_CHARS_MAX or not self.text.isascii() or len(parts) != len(_FIELDS):
            raise BadLine(f"{_shown(text)} is no schedule: write five fields, {', '.join(_FIELDS)}")
        try:
            self._days = CronSim(self.text, _ANY_TIME)
        except CronSimError:
            raise BadLine(_why(self.text, parts)) from None
        self._minutes = sorted(self._days.minutes)
        self._hours = sorted(self._days.hours)
        self._by_the_clock = parts[0].startswith("*") or parts[1].startswith("*")
        if next(self._dates(_ANY_TIME.date()), None) is None:
            raise BadLine(_never(self.text))

    def after(self, zone: tzinfo, moment: int) -> int | None:
        """The first due time after this moment, both in ns; None beyond the calendar."""
        seconds = moment // _SECOND
        try:
            found = self._next_shown(zone, seconds) if self._by_the_clock else self._next_named(zone, seconds)
        except (OverflowError, ValueError, OSError):
            return None
        return None if found is None else found * _SECOND

    def words(self) -> str:
        """In English, as cronsim says it."""
        return self._days.explain()

    def _dates(self, first: date) -> Iterator[date]:
        """The days that fit, from this one on, for as many years as make sure that there is one."""
        line = self._days
        numbers = sorted(line.days)
        plain = line.day_and and numbers[0] > 0  # then no other day needs a look
        for number in range(first.year * 12 + first.month - 1, (first.year + YEARS_MAX) * 12):
            year, month = number // 12, number % 12 + 1
            if month not in line.months or year > _LAST_YEAR:
                continue
            last = monthrange(year, month)[1]
            for day in numbers if plain else range(1, last + 1):
                if day > last:
                    break
                found = date(year, month, day)
                if found >= first and line.match_day(found):
                    yield found

    def _next_named(self, zone: tzinfo, after: int) -> int | None:
        """Each time of a day has one moment, and they come in the order of the times: look by halves."""
        here = datetime.fromtimestamp(after, zone).date()
        for day in self._dates(here - timedelta(days=1)):  # a skipped time may be due past midnight
            last = len(self._hours) * len(self._minutes) - 1
            if self._moment(zone, day, last) <= after:
                continue
            return self._moment(zone, day, bisect_left(_Moments(self, zone, day), after + 1))
        return None

    def _moment(self, zone: tzinfo, day: date, index: int) -> int:
        """Of the time with this index in the day."""
        hour, minute = divmod(index, len(self._minutes))
        return first_moment(datetime(day.year, day.month, day.day, self._hours[hour], self._minutes[minute]), zone)  # noqa: DTZ001

    def _next_shown(self, zone: tzinfo, after: int) -> int | None:
        """Along the moments: by the day, the quarter, the minute, and never past a change of the clock."""
        now = after - after % 60 + 60
        here = datetime.fromtimestamp(now, zone)
        for day in self._dates(here.date() - timedelta(days=1)):
            if day > here.date():
                start = datetime(day.year, day.month, day.day)  # noqa: DTZ001
                now = max(now, first_moment(start, zone))
                here = datetime.fromtimestamp(now, zone)
            while here.date() == day:
                if here.hour not in self._days.hours:
                    now = _quarter_on(now, here, zone)
                elif here.minute in self._days.minutes:
                    return now
                else:
                    now += 60
                here = datetime.fromtimestamp(now, zone)
        return None


class _Moments:
    """The moments of one day's times, for a search by halves."""

    def __init__(self, line: CronLine, zone: tzinfo, day: date) -> None:
        self._line, self._zone, self._day = line, zone, day

    def __len__(self) -> int:
        return len(self._line._hours) * len(self._line._minutes)

    def __getitem__(self, index: int) -> int:
        return self._line._moment(self._zone, self._day, index)


def _quarter_on(now: int, here: datetime, zone: tzinfo) -> int:
    """To the next quarter; if the clock changes before it does, a minute."""
    on = now - now % _QUARTER + _QUARTER
    there = datetime.fromtimestamp(on, zone)
    return on if there.utcoffset() == here.utcoffset() else now + 60


def first_moment(time: datetime, zone: tzinfo) -> int:
    """When the clock shows this time first, in seconds; for one that it skips, when it has skipped it."""
    early, late = (round(time.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None) == time:
        return early
    low, high = (
        late,
        early,
    )  # a time that is skipped: read by the clock before it lies behind the change, and vice versa
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def shown_at(moment: int, zone: tzinfo) -> str:
    """As ISO 8601 with the distance from UTC."""
    try:
        return datetime.fromtimestamp(moment // _SECOND, zone).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="seconds")


def _why(text: str, parts: list[str]) -> str:
    for place, (name, part) in enumerate(zip(_FIELDS, parts, strict=True)):
        alone = ["*"] * len(_FIELDS)
        alone[place] = part
        try:
            CronSim(" ".join(alone), _ANY_TIME)
        except CronSimError:
            return f"{_shown(text)} is no schedule: {_shown(part)} is no {name} ({_SYNTAX})"
    return _never(text)


def _never(text: str) -> str:
    return f"{_shown(text)} never fires: there is no such day within {YEARS_MAX} years"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= LINE_CHARS_MAX else text[:LINE_CHARS_MAX] + "...")
