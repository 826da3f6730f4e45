"""A program that is given something and asked what it says to it: within its time, to a bound, and ended for sure."""

from __future__ import annotations

import signal

import trio
from netsky.node.actors.runtime import Run
from netsky.node.seams.processes import Exit, Process

READ_BYTES = 64 * 1024


async def converse(process: Process, given: bytes, *, seconds: float, most: int, grace_seconds: float) -> Run:
    """What it said, `most` bytes of it at most. Nothing of it is left when this returns; when this is cancelled, the
    caller ends it."""
    said = bytearray()
    ended: Exit | None = None
    with trio.move_on_after(seconds) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process, given)
            while len(said) <= most:
                some = await process.receive(READ_BYTES)
                if not some:
                    ended = await process.wait()
                    break
                said += some
            nursery.cancel_scope.cancel()
    if ended is not None:
        return Run(ended, bytes(said))
    with trio.CancelScope(shield=True):
        exit = await end(process, grace_seconds)  # noqa: A001 - the type's own word
    return Run(exit, bytes(said[:most]), len(said) > most, deadline.cancelled_caught)


async def end(process: Process, grace_seconds: float) -> Exit:
    """SIGTERM, the grace, SIGKILL: it returns when nothing is left. The caller shields it."""
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 2.0)):
        process.signal_group(number)
        with trio.move_on_after(seconds):
            return await process.wait()
    process.signal_group(signal.SIGKILL)
    return await process.wait()


async def _feed(process: Process, given: bytes) -> None:
    try:
        await process.send(given)
    except ConnectionError:
        return  # it may answer without having read all of it
    finally:
        process.close_input()
