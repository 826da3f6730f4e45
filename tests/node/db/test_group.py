from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from netsky.node.db.group import GroupCommit, Plan
from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.db.limits import RIDERS_MAX, RIDERS_PER_GROUP, UNHURRIED_SECONDS
from netsky.node.errors import Conflict, NetskyError, TryLater
from netsky.node.seams.ledger import LedgerBroken, LedgerFull, Row, Statement
from trio.testing import Sequencer, wait_all_tasks_blocked

from tests.node.db.conftest import SteppingTime

MAKE = Statement("CREATE TABLE t (x INTEGER) STRICT")
ALL = Statement("SELECT x FROM t ORDER BY rowid")


def insert(x: int) -> Statement:
    return Statement("INSERT INTO t VALUES (?) RETURNING x * 10", (x,))


class Watched:
    """The shipped ledger with a record of its transactions, which can be made slow, full or broken."""

    def __init__(self, path: str, time: SteppingTime) -> None:
        self.inner: SqliteLedger = SqliteLedgers().open(path)
        self.time = time
        self.took = 1_000
        self.failure: Exception | None = None
        self.transactions: list[list[str]] = []
        self.gate: trio.Event | None = None

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.transactions.append([statement.sql for statement in statements])
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.time.now += self.took
        return await self.inner.transaction(statements)

    def close(self) -> None:
        self.inner.close()

    async def content(self) -> list[int]:
        [rows] = await self.inner.transaction([ALL])
        return [int(row[0]) for row in rows if isinstance(row[0], int)]


@pytest.fixture
async def watched(path: str, time: SteppingTime) -> Watched:
    watched = Watched(path, time)
    await watched.inner.transaction([MAKE])
    return watched


class Appender:
    """Stores numbers that are not there yet; zero is refused. Keeps what it saw."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.after: list[str] = []

    def reads(self, items: Sequence[int]) -> Sequence[Statement]:
        return [ALL]

    def plan(self, items: Sequence[int], rows: list[list[Row]]) -> Plan[str]:
        self.groups.append(list(items))
        [there] = rows
        new = [item for item in items if item and (item,) not in there]
        results: list[str | NetskyError] = [
            (f"stored {item}" if item in new else f"had {item}") if item else Conflict("no zero", next="try one")
            for item in items
        ]
        return Plan([insert(item) for item in new], results, lambda: self.after.append(f"after {list(items)}"))


async def test_a_planner_sees_the_whole_group_and_one_commit_stores_it(watched: Watched, time: SteppingTime) -> None:
    group, planner, answers = GroupCommit(watched, time), Appender(), {}

    async def ask(x: int) -> None:
        answers[x] = await group.submit(planner, x)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as askers:
            for x in range(1, 6):
                askers.start_soon(ask, x)
            await wait_all_tasks_blocked()
            nursery.start_soon(group.run)
        nursery.cancel_scope.cancel()
    assert [sorted(items) for items in planner.groups] == [[1, 2, 3, 4, 5]]
    assert answers == {x: f"stored {x}" for x in range(1, 6)}
    assert len(watched.transactions) == 2, "one to read, one to write"
    found = group.statistics()
    assert (found.groups, found.items, found.commits) == (1, 5, 1)
    watched.close()


async def test_items_of_one_caller_keep_their_order(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        assert await group.submit_many(planner, [3, 1, 2]) == ["stored 3", "stored 1", "stored 2"]
        assert await group.submit_many(planner, []) == []
        nursery.cancel_scope.cancel()
    assert await watched.content() == [3, 1, 2]
    watched.close()


async def test_an_error_reaches_the_one_it_is_for(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        results = await group.submit_many(planner, [1, 0, 2])
        assert [isinstance(result, Conflict) for result in results] == [False, True, False]
        with pytest.raises(Conflict, match="no zero"):
            await group.submit(planner, 0)
        nursery.cancel_scope.cancel()
    assert await watched.content() == [1, 2]
    watched.close()


async def test_a_group_with_nothing_to_write_is_no_commit(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        await group.submit(planner, 1)
        assert await group.submit(planner, 1) == "had 1"
        nursery.cancel_scope.cancel()
    assert (group.statistics().groups, group.statistics().commits) == (2, 1)
    watched.close()


async def test_several_planners_share_a_commit_in_the_order_of_their_arrival(
    watched: Watched, time: SteppingTime
) -> None:
    group, one, two = GroupCommit(watched, time), Appender(), Appender()
    order = Sequencer()
    answers: list[object] = []

    async def ask(turn: int, planner: Appender, x: int) -> None:
        async with order(turn):
            pass
        answers.append(await group.submit(planner, x))

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as askers:
            askers.start_soon(ask, 0, one, 1)
            askers.start_soon(ask, 1, two, 2)
            askers.start_soon(ask, 2, one, 3)
            await wait_all_tasks_blocked()
            nursery.start_soon(group.run)
        nursery.cancel_scope.cancel()
    assert sorted(map(str, answers)) == ["stored 1", "stored 2", "stored 3"]
    assert sorted([*one.groups, *two.groups]) == [[1, 3], [2]]
    assert group.statistics().commits == 1
    watched.close()


async def test_write_answers_with_the_rows_of_its_own_statements(watched: Watched, time: SteppingTime) -> None:
    group = GroupCommit(watched, time)
    answers: dict[int, list[list[Row]]] = {}

    async def write(x: int) -> None:
        answers[x] = await group.write([insert(x), Statement("SELECT ?", (x,))])

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as writers:
            for x in (1, 2, 3):
                writers.start_soon(write, x)
            await wait_all_tasks_blocked()
            nursery.start_soon(group.run)
        nursery.cancel_scope.cancel()
    assert answers == {x: [[(x * 10,)], [(x,)]] for x in (1, 2, 3)}
    assert len(watched.transactions) == 1, "nothing to read, one commit for all"
    watched.close()


async def test_after_is_called_once_durable_and_before_anybody_hears(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    watched.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)

        async def ask() -> None:
            await group.submit(planner, 1)
            planner.after.append("heard")

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert planner.after == []
        watched.gate.set()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert planner.after == ["after [1]", "heard"]
    watched.close()


async def test_the_bound_of_a_group_and_of_the_queue_holds_and_nobody_is_overtaken(
    watched: Watched, time: SteppingTime
) -> None:
    group, planner = GroupCommit(watched, time, items=4, queue=6), Appender()
    watched.gate = trio.Event()
    done: list[int] = []

    async def ask(x: int) -> None:
        await group.submit(planner, x)
        done.append(x)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        for x in range(1, 21):
            nursery.start_soon(ask, x)
            await wait_all_tasks_blocked()  # so that they come in this order
        assert group._send.statistics().current_buffer_used == 6
        assert group._send.statistics().tasks_waiting_send == 20 - 6 - 1, "one is at the gate"
        watched.gate.set()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [x for items in planner.groups for x in items] == list(range(1, 21))
    assert max(map(len, planner.groups)) == 4
    assert sorted(done) == list(range(1, 21))
    watched.close()


async def test_a_loud_caller_does_not_keep_a_quiet_one_out(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time, items=4, queue=4), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        nursery.start_soon(group.submit_many, planner, list(range(100, 200)))
        await trio.lowlevel.checkpoint()
        await group.submit(planner, 1)
        asked_before = planner.groups.index(next(items for items in planner.groups if 1 in items))
        assert asked_before <= 4
        nursery.cancel_scope.cancel()
    watched.close()


async def test_cancelling_a_wait_does_not_undo_it(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    with trio.move_on_after(0):
        await group.submit(planner, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        await group.submit(planner, 2)
        nursery.cancel_scope.cancel()
    assert await watched.content() == [1, 2]
    watched.close()


async def test_a_full_disk_is_told_to_all_of_the_group_and_later_ones_work(
    watched: Watched, time: SteppingTime
) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    watched.failure = LedgerFull("No room left.")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        results = await group.submit_many(planner, [1, 2])
        assert all(isinstance(result, TryLater) and result.code == "disk_full" for result in results)
        assert results[0] is not results[1], "an exception that is raised twice gathers tracebacks"
        assert planner.after == []
        watched.failure = None
        assert await group.submit(planner, 3) == "stored 3"
        nursery.cancel_scope.cancel()
    assert await watched.content() == [3]
    assert group.statistics().full == 1
    watched.close()


async def test_what_is_observed_while_the_disk_is_full_is_dropped_and_counted(
    watched: Watched, time: SteppingTime
) -> None:
    group = GroupCommit(watched, time)
    group.ride(insert(7))
    watched.failure = LedgerFull("No room left.")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        with pytest.raises(TryLater):
            await group.write([insert(1)])
        watched.failure = None
        await group.write([insert(2)])
        nursery.cancel_scope.cancel()
    assert await watched.content() == [2]
    assert (group.statistics().riders, group.statistics().riders_dropped) == (0, 1)
    watched.close()


async def test_a_broken_disk_stops_the_run_and_fails_all_who_wait_or_come(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time, items=2, queue=2), Appender()
    watched.failure = LedgerBroken("It failed.")
    codes: list[str] = []

    async def ask(x: int) -> None:
        with pytest.raises(NetskyError) as caught:
            await group.submit(planner, x)
        codes.append(caught.value.code)

    async with trio.open_nursery() as askers:
        for x in range(1, 7):
            askers.start_soon(ask, x)
        await wait_all_tasks_blocked()
        with pytest.raises(LedgerBroken):
            await group.run()
    await ask(9)
    group.ride(insert(1))
    assert codes == ["node_stopped"] * 7
    watched.close()


async def test_who_waits_when_the_run_is_cancelled_hears_it(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    watched.gate = trio.Event()
    async with trio.open_nursery() as askers:

        async def ask(x: int) -> None:
            with pytest.raises(NetskyError, match="before it could say"):
                await group.submit(planner, x)

        async with trio.open_nursery() as runner:
            runner.start_soon(group.run)
            askers.start_soon(ask, 1)
            await wait_all_tasks_blocked()
            askers.start_soon(ask, 2)
            await wait_all_tasks_blocked()
            group.ride(insert(8))
            runner.cancel_scope.cancel()
    watched.close()


async def test_a_mistake_of_a_planner_stops_the_run(watched: Watched, time: SteppingTime) -> None:
    class Wrong(Appender):
        def plan(self, items: Sequence[int], rows: list[list[Row]]) -> Plan[str]:
            return Plan([], [])  # no result for its items

    group = GroupCommit(watched, time)
    async with trio.open_nursery() as askers:

        async def ask() -> None:
            with pytest.raises(NetskyError):
                await group.submit(Wrong(), 1)

        askers.start_soon(ask)
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="shorter"):
            await group.run()
    watched.close()


async def test_a_commit_of_a_second_marks_the_disk_slow_until_one_is_quick(
    watched: Watched, time: SteppingTime
) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        watched.took = 10**9 - 1
        await group.submit(planner, 1)
        assert not group.slow
        watched.took = 10**9
        await group.submit(planner, 2)
        assert group.slow
        watched.took = 10
        await group.submit(planner, 2)
        assert group.slow, "nothing was written since"
        await group.write([ALL])
        assert group.slow, "what only reads is not synced"
        await group.submit(planner, 3)
        assert not group.slow
        nursery.cancel_scope.cancel()
    found = group.statistics()
    assert (found.slow_commits, found.max_commit_ns, found.last_commit_ns) == (1, 10**9, 10)
    watched.close()


async def test_what_is_observed_rides_along_or_goes_alone(watched: Watched, time: SteppingTime) -> None:
    group, planner = GroupCommit(watched, time), Appender()
    group.ride(insert(1))
    group.ride(insert(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        await group.submit(planner, 3)
        assert await watched.content() == [3, 1, 2], "behind the work of its group"
        group.ride(insert(4))
        await wait_all_tasks_blocked()
        assert await watched.content() == [3, 1, 2, 4]
        nursery.cancel_scope.cancel()
    assert group.statistics().riders == 3
    watched.close()


async def test_too_much_of_it_is_dropped_and_counted_and_never_crowds_a_group(
    watched: Watched, time: SteppingTime
) -> None:
    group = GroupCommit(watched, time)
    for x in range(RIDERS_MAX + 5):
        group.ride(insert(x))
    assert group._send.statistics().current_buffer_used == 1, "the places of the queue are for work"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert max(map(len, watched.transactions)) == RIDERS_PER_GROUP
    assert (group.statistics().riders, group.statistics().riders_dropped) == (RIDERS_MAX, 5)
    assert await watched.content() == list(range(RIDERS_MAX))
    watched.close()


async def test_what_nobody_waits_for_goes_first_in_the_next_group(
    watched: Watched, time: SteppingTime, mock_clock: trio.testing.MockClock
) -> None:
    """The clock stands still: only other work brings it along."""
    group, planner = GroupCommit(watched, time), Appender()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        nursery.start_soon(group.write_unhurried, [insert(1)])
        nursery.start_soon(group.write_unhurried, [insert(2)])
        await wait_all_tasks_blocked()
        assert await watched.content() == []
        await group.submit(planner, 3)
        assert sorted((await watched.content())[:2]) == [1, 2]
        assert group.statistics().commits == 1
        nursery.cancel_scope.cancel()
    watched.close()


async def test_what_nobody_waits_for_is_stored_soon_when_nothing_else_comes(
    watched: Watched, time: SteppingTime, autojump_clock: trio.testing.MockClock
) -> None:
    group = GroupCommit(watched, time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        began = trio.current_time()
        assert await group.write_unhurried([insert(1), insert(2)]) == [[(10,)], [(20,)]]
        assert trio.current_time() - began == pytest.approx(UNHURRIED_SECONDS)
        group.ride(insert(3))
        assert await group.write_unhurried([insert(4)]) == [[(40,)]]
        nursery.cancel_scope.cancel()
    assert await watched.content() == [1, 2, 4, 3]
    watched.close()


async def test_what_nobody_waits_for_hears_of_a_full_disk_and_of_the_end(
    watched: Watched, time: SteppingTime, autojump_clock: trio.testing.MockClock
) -> None:
    group = GroupCommit(watched, time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        watched.failure = LedgerFull("full")
        with pytest.raises(TryLater):
            await group.write_unhurried([insert(1)])
        watched.failure = None
        async with trio.open_nursery() as last:
            last.start_soon(_hears_the_end, group)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    await _hears_the_end(group)
    assert await watched.content() == []
    watched.close()


async def _hears_the_end(group: GroupCommit) -> None:
    with trio.CancelScope(shield=True), pytest.raises(NetskyError) as error:
        await group.write_unhurried([insert(1)])
    assert error.value.code == "node_stopped"
