"""Five fields against a calendar that is walked minute by minute, over every change of the clock of a year."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsky.node.schedule.cronline import BadLine, CronLine, first_moment, shown_at
from netsky.node.schedule.zones import NoZone, Zones

ZONES = ("Europe/Berlin", "America/Santiago", "Australia/Lord_Howe")
"""North, south, and one whose clock moves by half an hour."""

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
MINUTES = 366 * 24 * 60
SECOND = 10**9

Wall = tuple[int, int, int, int, int]
"""Month, day, weekday (Monday 0), hour, minute."""


@lru_cache
def walls(name: str) -> list[tuple[Wall, datetime]]:
    """What the clock on the wall shows at each minute of the year."""
    zone = ZoneInfo(name)
    found = []
    for minute in range(MINUTES):
        shown = datetime.fromtimestamp(START + 60 * minute, zone)
        wall = (shown.month, shown.day, shown.weekday(), shown.hour, shown.minute)
        found.append((wall, shown.replace(tzinfo=None, fold=0)))
    return found


def numbers(field: str, least: int, most: int) -> set[int]:
    """A reading of a field that shares nothing with the library: lists, ranges, steps."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first = least if span == "*" else int(low)
        last = most if span == "*" or (step and not high) else int(high or low)
        found |= set(range(first, last + 1, int(step or 1)))
    return found


def reference(text: str, name: str, first: int = 0, last: int = MINUTES) -> list[int]:
    """The due times of these minutes of the year, in seconds, by brute force."""
    minute, hour, day, month, weekday = text.split()
    minutes, hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
    days, months = numbers(day, 1, 31), numbers(month, 1, 12)
    weekdays = {(number - 1) % 7 for number in numbers(weekday, 0, 7)}

    def fits(month_of: int, day_of: int, weekday_of: int) -> bool:
        by_day, by_weekday = day_of in days, weekday_of in weekdays
        both = day.startswith("*") or weekday.startswith("*")
        return month_of in months and ((by_day and by_weekday) if both else (by_day or by_weekday))

    shown = walls(name)[first:last]
    if minute.startswith("*") or hour.startswith("*"):
        return [
            START + 60 * (first + index)
            for index, (wall, _) in enumerate(shown)
            if wall[4] in minutes and wall[3] in hours and fits(*wall[:3])
        ]
    begun: dict[datetime, int] = {}
    for index, (_, local) in enumerate(shown):
        begun.setdefault(local, START + 60 * (first + index))
    gaps = [
        (before[1], now[1], begun[now[1]])
        for before, now in pairwise(shown)
        if now[1] - before[1] > timedelta(minutes=1)
    ]
    due = set()
    midnight = shown[0][1].replace(hour=0, minute=0)
    while midnight <= shown[-1][1]:
        if fits(midnight.month, midnight.day, midnight.weekday()):
            for local in (midnight + timedelta(hours=h, minutes=m) for h in hours for m in minutes):
                skipped = [at for before, after, at in gaps if before < local < after]
                if skipped or shown[0][1] <= local <= shown[-1][1]:
                    due.add(skipped[0] if skipped else begun[local])
        midnight += timedelta(days=1)
    return sorted(due)


def walked(text: str, name: str) -> list[int]:
    line, zone = CronLine(text), ZoneInfo(name)
    found: list[int] = []
    at = line.after(zone, START * SECOND - 1)
    while at is not None and at < (START + 60 * MINUTES) * SECOND:
        assert at % (60 * SECOND) == 0
        found.append(at // SECOND)
        at = line.after(zone, at)
    return found


LINES = (
    "30 2 * * *",
    "0,15,30,45 0-4 * * *",
    "10 0 * * *",
    "*/20 * * * *",
    "* 2 * * *",
    "7 */3 * * *",
    "* 3 1-7 4,10 *",
    "45 1 */2 * 0,6",
    "0 0 1 * 1",
    "0 2-3 29-31 3,10 7",
    "5/25 1,2 * 3-4,9-11 *",
)


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("text", LINES)
def test_a_year_of_due_times_is_that_of_the_reference(text: str, name: str) -> None:
    expected = reference(text, name)
    assert walked(text, name) == expected
    assert expected


def test_the_three_zones_change_their_clocks_in_that_year() -> None:
    for name, step in (("Europe/Berlin", 60), ("America/Santiago", 60), ("Australia/Lord_Howe", 30)):
        jumps = [
            round((now[1] - before[1]).total_seconds() / 60) - 1
            for before, now in pairwise(walls(name))
            if now[1] - before[1] != timedelta(minutes=1)
        ]
        assert sorted(jumps) == [-step, step]


fields = st.tuples(
    st.sampled_from(["*", "*/7", "0", "30", "5,50", "10-20/5", "59"]),
    st.sampled_from(["*", "*/5", "2", "0-3", "1,2,3", "23", "0"]),
    st.sampled_from(["*", "1", "*/10", "25-31", "15,31"]),
    st.sampled_from(["*", "3", "4,10", "9-11", "*/6"]),
    st.sampled_from(["*", "0", "1-5", "7", "*/3"]),
).map(" ".join)


@lru_cache
def changes(name: str) -> list[int]:
    """The minutes of the year at which the clock moves."""
    steps = enumerate(pairwise(walls(name)), 1)
    return [at for at, (before, now) in steps if now[1] - before[1] != timedelta(minutes=1)]


DAY = 24 * 60


@settings(max_examples=150, deadline=None)
@given(
    text=fields, name=st.sampled_from(ZONES), which=st.integers(0, 1), minute=st.integers(-DAY, 6 * 60),
    second=st.integers(0, 59),
)  # fmt: skip
def test_any_line_from_any_moment_near_a_change_is_due_when_the_reference_is(
    text: str, name: str, which: int, minute: int, second: int
) -> None:
    try:
        line = CronLine(text)
    except BadLine:
        return
    change = changes(name)[which]
    first, last = change - 3 * DAY, change + 3 * DAY
    moment = START + 60 * (change + minute) + second
    expected = reference(text, name, first, last)
    found = line.after(ZoneInfo(name), moment * SECOND)
    assert found is not None
    place = bisect_right(expected, moment)
    if place < len(expected):
        assert found // SECOND == expected[place]
    else:
        assert found // SECOND >= START + 60 * last


def test_an_hour_that_is_skipped_is_due_once_when_it_has_passed_and_one_that_comes_twice_the_first_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = datetime(2026, 3, 28, 12, tzinfo=berlin)
    due = [CronLine(text).after(berlin, round(spring.timestamp()) * SECOND) for text in ("0 2 * * *", "59 2 * * *")]
    assert [shown_at(at, berlin) for at in due if at] == ["2026-03-29T03:00:00+02:00"] * 2
    autumn = round(datetime(2026, 10, 24, 12, tzinfo=berlin).timestamp()) * SECOND
    once = CronLine("30 2 * * *").after(berlin, autumn)
    assert once is not None
    assert shown_at(once, berlin) == "2026-10-25T02:30:00+02:00"
    again = CronLine("30 2 * * *").after(berlin, once)
    assert again is not None
    assert shown_at(again, berlin) == "2026-10-26T02:30:00+01:00"


def test_a_day_that_a_zone_skipped_is_due_when_it_is_over() -> None:
    apia = ZoneInfo("Pacific/Apia")  # 30 December 2011 was not there
    skipped = first_moment(datetime(2011, 12, 30, 12), apia)  # noqa: DTZ001
    assert shown_at(skipped * SECOND, apia) == "2011-12-31T00:00:00+14:00"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 31 2 *", "never fires"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 31 2 */7", "never fires"),
        ("61 * * * *", "'61' is no minute"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "no day of the month"),
        ("* * * JUNE *", "no month"),
        ("* * * * 8", "no day of the week"),
        ("*/0 * * * *", "is no minute"),
        ("5-1 * * * *", "is no minute"),
        ("* * * *", "write five fields"),
        ("* * * * * *", "write five fields"),
        ("@daily", "write five fields"),
        ("", "write five fields"),
        ("٣ * * * *", "write five fields"),
        ("1," * 100 + "1 * * * *", "write five fields"),
        ("9" * 90 + " * * * *", "is no minute"),
        ("L * * * *", "is no minute"),
        ("* * 5L * *", "no day of the month"),
        ("* * * * ²L", "write five fields"),
    ],
)
def test_what_is_no_schedule_or_never_fires_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadLine) as refused:
        CronLine(text)
    assert said in str(refused.value)
    assert str(refused.value).isascii()


def test_a_rare_day_is_found_within_fifty_years() -> None:
    leap = CronLine("0 12 29 2 */7").after(ZoneInfo("UTC"), START * SECOND)  # a Sunday
    assert leap is not None
    assert shown_at(leap, ZoneInfo("UTC")) == "2032-02-29T12:00:00+00:00"
    assert CronLine("0 0 LW * *").after(ZoneInfo("UTC"), START * SECOND) == (START + 29 * 86_400) * SECOND
    assert CronLine("0 0 * * FRI#2").after(ZoneInfo("UTC"), START * SECOND) == (START + 8 * 86_400) * SECOND


def test_the_end_of_the_calendar_is_an_end() -> None:
    assert CronLine("0 0 1 1 *").after(ZoneInfo("UTC"), 10**9 * 253_402_300_000) is None
    assert CronLine("* * * * *").after(ZoneInfo("UTC"), 1 << 62) is not None
    assert CronLine("* * * * *").after(ZoneInfo("UTC"), 1 << 90) is None


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="0123456789*/,-L#WMONJANsun ٣\x00", max_size=40))
def test_any_text_is_a_schedule_or_a_sentence(text: str) -> None:
    try:
        line = CronLine(text)
    except BadLine:
        return
    assert line.after(ZoneInfo("Europe/Berlin"), START * SECOND) is not None
    assert line.words()


@pytest.mark.parametrize(
    "name",
    ["", "Berlin", "Europe", "europe/nowhere", "../../etc/passwd", "/etc/localtime", "UTC\x00", "A" * 300, "Ümlaut"],
)
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(NoZone, match="is no time zone"):
        Zones()(name)
