"""Supervision under a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from netsky.node.backoff import Backoff
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.supervise import Child, Crash, GaveUp, Strategy, Supervisor

SECOND = 10**9


class Tree:
    """A supervisor of small tasks that write down what they do."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.crashes: list[Crash] = []
        self.hung: list[str] = []

    def supervisor(self, *children: Child, strategy: Strategy = "one_for_one", **more: object) -> Supervisor:
        return Supervisor(
            "top",
            children,
            time=VirtualTime(),
            chance=SeededChance(1),
            report=self.crashes.append,
            hung=self.hung.append,
            strategy=strategy,
            **more,  # type: ignore[arg-type]
        )

    def steady(self, name: str) -> Child:
        async def start() -> None:
            self.log.append(f"+{name}")
            try:
                await trio.sleep_forever()
            finally:
                self.log.append(f"-{name}")

        return Child(name, start)

    def crashing(self, name: str, after: float, times: int = 10**9) -> Child:
        left = [times]

        async def start() -> None:
            self.log.append(f"+{name}")
            if left[0] == 0:
                await trio.sleep_forever()
            left[0] -= 1
            await trio.sleep(after)
            raise ValueError(f"{name} is broken")

        return Child(name, start)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(crash.task, crash.kind) for crash in self.crashes]


@pytest.fixture
def tree() -> Tree:
    return Tree()


async def test_a_child_that_crashes_at_once_every_time_is_restarted_three_times_and_then_given_up(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(GaveUp, match="top/a needed more than 3 restarts in 60 s: ValueError: a is broken"):
        await tree.supervisor(tree.crashing("a", 0)).run()
    assert tree.log == ["+a"] * 4
    assert tree.kinds == [("top/a", "crashed")] * 4 + [("top", "gave_up")]


async def test_restarts_wait_longer_each_time(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    times = []

    async def start() -> None:
        times.append(trio.current_time())
        raise ValueError

    backoff = Backoff(SECOND, 60 * SECOND)
    with pytest.raises(GaveUp):
        await tree.supervisor(Child("a", start), backoff=backoff).run()
    waits = [after - before for before, after in pairwise(times)]
    assert [0.5 <= waits[0] <= 1, 1 <= waits[1] <= 2, 2 <= waits[2] <= 4] == [True] * 3


async def test_crashes_that_are_rare_enough_never_end_it(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(3600):
        await tree.supervisor(tree.crashing("a", 25)).run()
    assert tree.log.count("+a") > 100
    assert ("top", "gave_up") not in tree.kinds


@pytest.mark.parametrize(
    ("strategy", "stopped", "started"),
    [
        ("one_for_one", [], ["+b"]),
        ("rest_for_one", ["-c"], ["+b", "+c"]),
        ("one_for_all", ["-c", "-a"], ["+a", "+b", "+c"]),
    ],
)
async def test_a_strategy_says_who_is_stopped_and_started_with_the_crashed_one(
    tree: Tree, autojump_clock: trio.testing.MockClock, strategy: Strategy, stopped: list[str], started: list[str]
) -> None:
    supervisor = tree.supervisor(tree.steady("a"), tree.crashing("b", 1, times=1), tree.steady("c"), strategy=strategy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(0.5)
        tree.log.clear()
        await trio.sleep(10)
        assert tree.log[: len(stopped)] == stopped
        assert sorted(tree.log[len(stopped) :]) == started
        assert supervisor.states() == dict.fromkeys("abc", "running")
        nursery.cancel_scope.cancel()


async def test_children_stop_in_reverse_order(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1):
        await tree.supervisor(tree.steady("a"), tree.steady("b"), tree.steady("c")).run()
    assert tree.log[3:] == ["-c", "-b", "-a"]
    assert tree.crashes == []


@pytest.mark.parametrize(
    ("restart", "fails", "lives"),
    [
        ("permanent", False, 4),
        ("permanent", True, 4),
        ("transient", False, 1),
        ("transient", True, 4),
        ("temporary", False, 1),
        ("temporary", True, 1),
    ],
)
async def test_the_kind_of_restart_decides_whether_an_end_is_one(
    tree: Tree, autojump_clock: trio.testing.MockClock, restart: str, fails: bool, lives: int
) -> None:
    async def start() -> None:
        tree.log.append("+")
        if fails:
            raise ValueError

    with trio.move_on_after(50) as patience:
        if lives == 4:
            with pytest.raises(GaveUp):
                await tree.supervisor(Child("a", start, restart)).run()  # type: ignore[arg-type]
        else:
            await tree.supervisor(Child("a", start, restart)).run()  # type: ignore[arg-type]
    assert len(tree.log) == lives
    assert patience.cancelled_caught == (lives == 1)


async def test_a_supervisor_that_gives_up_is_one_crash_for_the_one_above_and_restarts_stay_bounded(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    def inner() -> Child:
        async def start() -> None:
            await tree.supervisor(tree.crashing("a", 0)).run()

        return Child("inner", start)

    with pytest.raises(GaveUp, match="GaveUp: top/a needed more"):
        await tree.supervisor(inner()).run()
    assert tree.log.count("+a") == 16  # 4 lives of the inner one with 4 lives of its child each


async def test_several_that_crash_share_one_intensity(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(GaveUp):
        await tree.supervisor(*(tree.crashing(name, 0) for name in "abcdef")).run()
    assert len(tree.log) <= 6 + 3
    assert tree.kinds.count(("top", "gave_up")) == 1


async def test_one_that_crashes_while_it_is_stopped_is_reported_and_does_not_stop_the_stop(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    async def start() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the way out")

    with trio.move_on_after(1):
        await tree.supervisor(tree.steady("a"), Child("b", start)).run()
    assert tree.kinds == [("top/b", "crashed")]
    assert tree.log == ["+a", "-a"]


async def test_a_child_that_does_not_serve_in_time_counts_as_crashed_and_later_ones_wait_for_it(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    async def start(ready: Callable[[], None]) -> None:
        tree.log.append("+slow")
        await trio.sleep_forever()

    slow = Child("slow", start, announces=True, start_seconds=5)
    began = trio.current_time()
    with pytest.raises(GaveUp, match="did not serve within 5 s"):
        await tree.supervisor(slow, tree.steady("after"), strategy="rest_for_one").run()
    assert tree.log.index("+after") == 1
    assert trio.current_time() - began >= 20
    assert tree.kinds[:4] == [("top/slow", "start_timeout")] * 4


async def test_a_child_that_serves_lets_the_next_one_start(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    async def start(ready: Callable[[], None]) -> None:
        await trio.sleep(3)
        tree.log.append("serving")
        ready()
        await trio.sleep_forever()

    with trio.move_on_after(10):
        await tree.supervisor(Child("a", start, announces=True), tree.steady("b")).run()
    assert tree.log == ["serving", "+b", "-b"]


async def test_one_that_hangs_while_it_stops_is_named_after_its_deadline(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    async def start() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)

    began = trio.current_time()
    with trio.move_on_after(1):
        await tree.supervisor(Child("stubborn", start, stop_seconds=5)).run()
    assert tree.hung == ["top/stubborn"]
    assert tree.kinds == [("top/stubborn", "stop_hung")]
    assert trio.current_time() - began == pytest.approx(61)


async def test_what_ends_the_whole_process_is_not_held_up_by_stopping_in_order(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    async def start() -> None:
        raise KeyboardInterrupt

    with pytest.RaisesGroup(KeyboardInterrupt):
        await tree.supervisor(tree.steady("a"), Child("b", start), tree.steady("c")).run()
    assert tree.log == ["+a", "-a"]
    assert tree.hung == []


@pytest.mark.parametrize("group", [False, True])
async def test_a_broken_ledger_is_never_restarted_whatever_wraps_it(
    tree: Tree, autojump_clock: trio.testing.MockClock, group: bool
) -> None:
    async def start() -> None:
        error = LedgerBroken("the disk failed")
        raise ExceptionGroup("both", [ValueError(), error]) if group else error

    async def nested() -> None:
        await tree.supervisor(Child("a", start)).run()

    with pytest.raises(LedgerBroken, match="the disk failed"):
        await tree.supervisor(Child("inner", nested), tree.steady("b")).run()
    assert tree.log == ["+b", "-b"]
    assert [kind for _, kind in tree.kinds] == ["fatal", "fatal"]


async def test_children_come_and_go_while_it_runs(tree: Tree, autojump_clock: trio.testing.MockClock) -> None:
    supervisor = tree.supervisor(tree.steady("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.testing.wait_all_tasks_blocked()
        await supervisor.add(tree.steady("b"))
        await trio.testing.wait_all_tasks_blocked()
        await supervisor.remove("a")
        await supervisor.remove("nobody")
        assert tree.log == ["+a", "+b", "-a"]
        assert supervisor.states() == {"b": "running"}
        nursery.cancel_scope.cancel()
    assert tree.log[-1] == "-b"


async def test_a_child_that_was_removed_while_it_waited_for_its_restart_stays_away(
    tree: Tree, autojump_clock: trio.testing.MockClock
) -> None:
    supervisor = tree.supervisor(tree.crashing("a", 1), backoff=Backoff(10 * SECOND, 10 * SECOND))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(2)
        assert supervisor.states() == {"a": "waits"}
        await supervisor.remove("a")
        await trio.sleep(60)
        assert tree.log == ["+a"]
        nursery.cancel_scope.cancel()


def test_the_wait_grows_to_its_cap_and_keeps_to_its_half() -> None:
    backoff = Backoff(100, 1_000)
    assert [backoff.wait_ns(attempt, 0.0) for attempt in range(6)] == [50, 100, 200, 400, 500, 500]
    assert backoff.wait_ns(10**6, 0.999999) == 999
