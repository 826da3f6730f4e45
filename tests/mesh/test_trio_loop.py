import asyncio
import subprocess
import sys
import threading

import aiosqlite
import pytest
import trio
import trio.testing
from netsky.mesh.trio_loop import TrioEventLoop, TrioFuture, is_event_loop, trio_as_event_loop


async def test_aiosqlite_runs_on_trio() -> None:
    with trio_as_event_loop():
        async with aiosqlite.connect(":memory:") as db:
            cursor = await db.execute("SELECT 1 + 1")
            assert await cursor.fetchone() == (2,)


async def test_an_error_of_the_other_thread_is_raised_here() -> None:
    with trio_as_event_loop():
        async with aiosqlite.connect(":memory:") as db:
            with pytest.raises(aiosqlite.OperationalError, match="no such table"):
                await db.execute("SELECT * FROM missing")


async def test_what_ran_before_is_running_again_afterwards() -> None:
    assert not is_event_loop()
    with trio_as_event_loop():
        outer = asyncio.get_event_loop()
        assert is_event_loop()
        with trio_as_event_loop():
            assert asyncio.get_event_loop() is not outer
        assert asyncio.get_event_loop() is outer
    assert not is_event_loop()


async def test_a_thread_of_its_own_sees_nothing_of_it() -> None:
    with trio_as_event_loop():
        assert not await trio.to_thread.run_sync(is_event_loop)


async def test_a_cancelled_waiter_leaves_a_cancelled_future_and_a_late_result_is_dropped() -> None:
    loop = TrioEventLoop()
    future = loop.create_future()

    async def wait_for_it() -> None:
        await future

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_it)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert future.cancelled()
    assert future.done()


async def test_a_result_that_came_before_the_cancellation_wins_over_it() -> None:
    loop = TrioEventLoop()
    future = loop.create_future()
    got: list[object] = []

    async def wait_for_it() -> None:
        got.append(await future)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_it)
        await trio.testing.wait_all_tasks_blocked()
        loop.call_soon_threadsafe(future.set_result, 7)
        nursery.cancel_scope.cancel()
    assert got == [7], "nobody else would ever fetch it"


async def test_a_result_that_is_there_already_is_not_waited_for() -> None:
    future = TrioEventLoop().create_future()
    future.set_result(5)
    assert await future == 5


async def test_a_result_from_another_thread_wakes_the_task() -> None:
    loop = TrioEventLoop()
    future = loop.create_future()
    assert future.get_loop() is loop
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, "late"))
    thread.start()
    assert await future == "late"
    await trio.to_thread.run_sync(thread.join)


async def test_a_second_result_is_our_mistake() -> None:
    future = TrioEventLoop().create_future()
    future.set_exception(ValueError("first"))
    with pytest.raises(AssertionError):
        future.set_result(2)
    with pytest.raises(ValueError, match="first"):
        await future


def test_a_result_after_the_end_of_the_run_is_dropped() -> None:
    async def make() -> tuple[TrioEventLoop, TrioFuture]:
        loop = TrioEventLoop()
        return loop, loop.create_future()

    loop, future = trio.run(make)
    loop.call_soon_threadsafe(future.set_result, 1)
    assert not future.done()


def test_importing_it_imports_neither_iroh_nor_aiosqlite() -> None:
    program = "import sys, netsky.mesh.trio_loop; print([n for n in ('iroh', 'aiosqlite') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
