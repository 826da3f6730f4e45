"""The canary for the two private names of trio by which a seed decides the order of tasks."""

from __future__ import annotations

import os
import subprocess
import sys

import trio
import trio._core._run as trio_run
from netsky.node.lab.scheduler import run_seeded

# Printed by another process, so that neither hash seeds nor addresses nor what ran before can decide anything.
PROGRAM = """
import sys
from tests.node.lab.test_scheduler import busy
from netsky.node.lab.scheduler import run_seeded
print(run_seeded(busy, seed=int(sys.argv[1])))
"""


async def busy() -> str:
    """Eight tasks with equal deadlines, timeouts, channels, events and cancellations, and in which turn each was."""
    trace: list[str] = []
    sender, receiver = trio.open_memory_channel[int](2)
    starting = trio.Event()

    async def one(number: int) -> None:
        await starting.wait()
        for turn in range(20):
            with trio.move_on_after(1):  # all at the same instant
                await trio.sleep(9 if (turn + number) % 3 else 1)
            trace.append(f"{number}.{turn}@{trio.current_time():.0f}")
            await sender.send(number)

    async def other() -> None:
        async for number in receiver:
            trace.append(f"got {number}")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        async with trio.open_nursery() as eight:
            for number in range(8):
                eight.start_soon(one, number)
            await trio.sleep(1)  # all of them wait
            starting.set()
        sender.close()
    return " ".join(trace)


def test_one_seed_is_one_order_in_any_process_and_seeds_differ() -> None:
    def in_process(seed: int, hashes: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        argv = [sys.executable, "-c", PROGRAM, str(seed)]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    here = run_seeded(busy, seed=1)
    assert {in_process(1, "0").strip(), in_process(1, "77").strip(), run_seeded(busy, seed=1)} == {here}
    assert len({run_seeded(busy, seed=seed) for seed in range(8)}) == 8


def test_the_process_is_left_as_it_was() -> None:
    state, switch = trio_run._r.getstate(), trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    run_seeded(busy, seed=3)
    assert (trio_run._r.getstate(), trio_run._ALLOW_DETERMINISTIC_SCHEDULING) == (state, switch)


def test_an_hour_passes_in_no_time_and_the_result_comes_back() -> None:
    async def hour(word: str) -> tuple[str, float]:
        await trio.sleep(3600)
        return word, trio.current_time()

    assert run_seeded(hour, "done", seed=0) == ("done", 3600)
