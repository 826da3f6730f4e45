"""What a program uses, and what it gives up before it starts: what of that can be looked at without one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from netsky.node.seams import gauge as gauges
from netsky.node.seams import processes
from netsky.node.seams.gauge import NAME_BYTES, Free, Gauge, walk
from netsky.node.seams.narrow import ALLOW, AUDIT_ARCHITECTURE, DENY, NUMBERS, X32, calls_filter

BOUNDS = processes.Bounds(processes=100, memory=1 << 30, file=1 << 20, growth=1 << 20)
ENOSYS, EPERM, EAFNOSUPPORT = 38, 1, 97


def verdict(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the kernel would find: a filter's few steps, walked."""
    values = {0: number, 4: AUDIT_ARCHITECTURE[machine] if architecture is None else architecture, 16: argument}
    steps, at, held = calls_filter(machine), 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:
            held = values[value]
        elif code == 0x06:
            return value
        else:
            at += yes if (held == value if code == 0x15 else held >= value) else no


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_only_sockets_of_these_families_can_be_made(machine: str) -> None:
    call = NUMBERS[machine]["socket"]
    for family in range(64):
        wanted = ALLOW if family in {1, 2, 10, 16} else DENY | EAFNOSUPPORT
        assert verdict(machine, call, family) == wanted


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_calls_that_lead_around_the_walls_are_not_there(machine: str) -> None:
    for name, number in NUMBERS[machine].items():
        if name != "socket":
            assert verdict(machine, number) == DENY | ENOSYS
    known = set(NUMBERS[machine].values())
    for number in range(470):
        if number not in known:
            assert verdict(machine, number) == ALLOW


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_calls_in_another_tongue_are_refused_all(machine: str) -> None:
    for other in {*AUDIT_ARCHITECTURE.values(), 0x40000003} - {AUDIT_ARCHITECTURE[machine]}:
        assert verdict(machine, 0, architecture=other) == DENY | EPERM
    assert verdict(machine, X32 + 1) == DENY | EPERM


def test_a_name_counts_however_little_is_in_it_and_links_are_not_followed(tmp_path: Path) -> None:
    before, _ = walk(str(tmp_path))
    for number in range(10):
        (tmp_path / f"empty{number}").touch()
    (tmp_path / "out").symlink_to("/usr")
    size, blind = walk(str(tmp_path))
    assert 11 * NAME_BYTES <= size - before < 16 * NAME_BYTES
    assert not blind


def test_a_folder_that_is_gone_makes_the_look_blind(tmp_path: Path) -> None:
    assert walk(str(tmp_path / "never")) == (0, True)


def test_bounds_arrive_as_they_were_meant_whatever_the_folder_is_called() -> None:
    for name in ("", "/a,b=c\n", "/plain"):
        meant = replace(BOUNDS, grows=name)
        found = gauges.Bounds(f"7,{meant.word}")
        assert found.door == 7
        assert {key: getattr(found, key) for key in asdict(meant)} == asdict(meant)


def test_what_was_there_before_is_not_the_programs(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(3 << 20))
    gauge = Gauge(gauges.Bounds("-1," + replace(BOUNDS, grows=str(tmp_path)).word), inside=False)
    gauge.begin()
    assert gauge.look() == ""
    (tmp_path / "new").write_bytes(os.urandom(2 << 20))
    gauge._look_at = gauge._walk_at = 0.0
    assert gauge.look() == "growth"


def test_a_disk_is_left_with_something_whoever_filled_it() -> None:
    assert Free(100, 1000).is_under(500, Free(10_000, 1000))
    assert not Free(600, 1000).is_under(500, Free(10_000, 1000))
    assert not Free(60, 1000).is_under(500, Free(100, 1000))  # there was little to begin with
    assert Free(10_000, 10).is_under(1 << 30, Free(10_000, 1000))  # room, but no names left
    assert not Free(10_000, 0).is_under(500, Free(10_000, 0))  # a disk that does not count names


def test_what_goes_from_a_disk_is_never_less_than_nothing() -> None:
    assert Free(50, 7).gone_since(Free(100, 10)) == 50 + 3 * NAME_BYTES
    assert Free(500, 70).gone_since(Free(100, 10)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_all_that_descends_from_us_is_counted_with_its_memory() -> None:
    script = "import os, sys\nheld = b'x' * (40 << 20)\nos.fork()\nos.write(1, b'.')\nsys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.read(2) == b".."
        family = list(gauges.family(inside=False))
        assert child.pid in family
        tasks, memory = gauges.used(family)
        exact = gauges.exactly(family, memory)
        child.stdin.close()
    assert tasks >= 2
    assert memory > 80 << 20
    assert 40 << 20 <= exact < 80 << 20, "what a fork shares with its parent is there once"


def seen(monkeypatch: pytest.MonkeyPatch, **found: object) -> Gauge:
    """A gauge that finds these, on a machine where nothing else is."""
    usual = {
        "family": [7, 8], "used": (2, 0), "exactly": 0, "unmapped": 0, "system_five": 0, "shared_memory": 0,
        "free_on_disk": Free(1 << 40, 1 << 20), "walk": (0, False),
    }  # fmt: skip
    gauge = Gauge(gauges.Bounds(f"-1,{replace(BOUNDS, grows='/w', free_floor=1 << 30).word}"), inside=True)
    for name, value in usual.items():
        monkeypatch.setattr(gauges, name, lambda *_, value=value: value)
    gauge.begin()
    for name, value in found.items():
        monkeypatch.setattr(gauges, name, lambda *_, value=value: value)
    return gauge


@pytest.mark.parametrize(
    ("found", "bound"),
    [
        ({}, ""),
        ({"used": (100, 1 << 30)}, ""),
        ({"used": (101, 0)}, "processes"),
        ({"used": (2, 2 << 30), "exactly": 2 << 30}, "memory"),
        ({"used": (2, 2 << 30), "exactly": 1 << 30}, ""),  # shared among several, so there once
        ({"system_five": 2 << 30, "exactly": 0}, "memory"),
        ({"unmapped": 2 << 30}, ""),  # not looked for as long as the machine has no more of such
        ({"unmapped": 2 << 30, "shared_memory": 2 << 30}, "memory"),
        ({"free_on_disk": Free(1 << 29, 1 << 20)}, "free_space"),
        ({"free_on_disk": Free(1 << 40, 10)}, "free_space"),
        ({"walk": (2 << 20, False)}, "growth"),
        ({"walk": (1 << 20, False)}, ""),
        ({"walk": (0, True)}, ""),  # a folder is closed to us, and the disk lost nothing
        ({"walk": (0, True), "free_on_disk": Free((1 << 40) - (2 << 20), 1 << 20)}, "growth"),
        ({"free_on_disk": Free((1 << 40) - (2 << 20), 1 << 20)}, ""),  # lost to somebody else
    ],
)
def test_a_bound_is_exceeded_by_what_is_the_programs_alone(
    found: dict[str, object], bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(monkeypatch, **found).look() == bound


def test_a_gauge_looks_seldom_and_walks_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, walked = seen(monkeypatch), []
    monkeypatch.setattr(gauges, "walk", lambda folder: walked.append(folder) or (0, False))
    assert gauge.look() == gauge.look() == ""
    assert walked == ["/w"]
    assert 1 <= gauge.wait_ms() <= 1000
    gauge._look_at = 0.0
    gauge.look()
    assert walked == ["/w"], "the disk did not change"
    monkeypatch.setattr(gauges, "free_on_disk", lambda _: Free((1 << 40) - (1 << 20), 1 << 20))
    gauge._look_at = 0.0
    gauge.look()
    assert walked == ["/w", "/w"]


def test_a_folder_that_is_taken_away_is_filled_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = seen(monkeypatch)

    def gone(_: str) -> Free:
        raise FileNotFoundError

    monkeypatch.setattr(gauges, "free_on_disk", gone)
    assert gauge.look() == ""
