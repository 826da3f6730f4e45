"""Telling without waiting, and hearing what was lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from netsky.node.events import Events, Signals
from netsky.node.lab.virtual import VirtualTime
from netsky.node.limits import EVENT_QUEUE_MAX, EVENTS_KEPT
from netsky.node.log import Log
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles


async def test_a_listener_hears_what_comes_in_order_and_only_its_kinds() -> None:
    events = Events(VirtualTime())
    events.publish("before")
    with events.subscribe() as all_of_it, events.subscribe(frozenset({"b"})) as some:
        for kind in "abc":
            events.publish(kind, n=1)
        assert [(await all_of_it.next())["kind"] for _ in range(3)] == ["a", "b", "c"]
        assert (await some.next())["n"] == 1
        async with trio.open_nursery() as nursery:
            heard: list[str] = []

            async def listen() -> None:
                heard.append((await some.next())["kind"])

            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            events.publish("a")
            events.publish("b")
        assert heard == ["b"]
    assert [event["kind"] for event in events.latest()] == ["before", "a", "b", "c", "a", "b"]


async def test_a_slow_listener_loses_the_rest_and_is_told_how_many() -> None:
    events = Events(VirtualTime())
    with events.subscribe() as slow:
        for number in range(EVENT_QUEUE_MAX + 7):
            events.publish("tick", number=number)
        heard = [await slow.next() for _ in range(EVENT_QUEUE_MAX + 1)]
        assert heard[-2]["number"] == EVENT_QUEUE_MAX - 1
        assert heard[-1] == {"kind": "dropped", "count": 7}
        events.publish("tick", number=-1)
        assert (await slow.next())["number"] == -1
    assert len(events.latest()) == EVENTS_KEPT


async def test_a_bell_is_heard_however_often_it_rang_and_by_everybody() -> None:
    signals = Signals()
    signals.ring("a")
    signals.ring("a")
    assert await signals.wait_beyond("a", 0) == 2
    heard: list[int] = []

    async def wait(name: str) -> None:
        heard.append(await signals.wait_beyond(name, signals.count(name)))

    async with trio.open_nursery() as nursery:
        for name in "aab":
            nursery.start_soon(wait, name)
        await trio.testing.wait_all_tasks_blocked()
        signals.ring("a")
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [3, 3]
        signals.ring("b")
    assert heard == [3, 3, 1]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_of_the_log_is_an_object_with_a_name_and_a_time(tmp_path: Path) -> None:
    seen: list[str] = []
    log = Log(RealFiles(), str(tmp_path), RealTime(), also=seen.append)
    log.event("node.ready", key=b"\x01\xff", name="a\udc80b\n")
    log.error("task.crashed", task="x")
    log.close()
    first, second = lines(tmp_path / "node.log")
    assert (first["event"], first["key"], first["name"], first["level"]) == ("node.ready", "01ff", "a\udc80b\n", "info")
    assert second["level"] == "error"
    assert second["at"] >= first["at"] > 10**18
    assert len(seen) == 2


def test_the_log_turns_over_and_keeps_so_many_files(tmp_path: Path) -> None:
    log = Log(RealFiles(), str(tmp_path), RealTime(), bytes_max=2_000, files_max=3)
    for number in range(300):
        log.event("tick", number=number)
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["node.log", "node.log.1", "node.log.2"]
    assert all((tmp_path / name).stat().st_size <= 2_000 for name in files)
    numbers = [line["number"] for name in reversed(files) for line in lines(tmp_path / name)]
    assert numbers == list(range(numbers[0], 300))


def test_a_log_goes_on_in_its_file_after_a_restart(tmp_path: Path) -> None:
    for number in range(2):
        log = Log(RealFiles(), str(tmp_path), RealTime(), bytes_max=150)
        log.event("tick", number=number)
        log.close()
    assert [line["number"] for line in lines(tmp_path / "node.log")] == [0, 1]


def test_a_huge_line_is_cut_and_a_full_disk_costs_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(RealFiles(), str(tmp_path), RealTime())
    log.event("big", text="x" * 1_000_000)
    [line] = lines(tmp_path / "node.log")
    assert line["event"] == "big"
    assert line["cut"].count("x") > 1_000
    assert (tmp_path / "node.log").stat().st_size < 20_000

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RealFiles, "append", full)
    log.event("lost")
    assert log.lost == 1


async def test_the_bell_of_a_house_is_heard_at_each_door_and_that_of_a_door_at_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    signals = Signals()
    heard: list[str] = []

    async def wait(name: str) -> None:
        await signals.wait_beyond(name, signals.count(name))
        heard.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("outbox/a", "outbox/b", "outbox/", "other/a"):
            nursery.start_soon(wait, name)
        await trio.testing.wait_all_tasks_blocked()
        signals.ring("outbox/a")
        await trio.testing.wait_all_tasks_blocked()
        assert heard == ["outbox/a"]
        signals.ring("outbox/")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(heard[1:]) == ["outbox/", "outbox/b"]
        nursery.cancel_scope.cancel()
    assert signals.count("outbox/a") == 2
