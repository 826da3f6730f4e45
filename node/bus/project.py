"""The projector: rows that are `committed` become files in their actor's inbox.

The row is the truth and the file a copy without fsync of its own: file → told → folder synced → `projected`, in a
later group, which nobody waits for. A crash anywhere before that leaves the row `committed`, and the next start writes
the file, unless one of that name stands anywhere under the actor's folder already.

A folder is synced ten times a second at most: a sync costs the disk as much as a commit, in whose way it stands, and
what is read and taken before it needs no mark any more.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import trio
from netsky.envelope.file import Proof, to_file
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.envelope.wire import decode_body, decode_header
from netsky.node.bus.folders import Channel, open_channel
from netsky.node.bus.limits import (
    FRESH_BYTES_MAX,
    PROJECT_FILES,
    PROJECT_MARKS,
    PROJECT_SYNC_NS,
    PROJECT_YIELD,
)
from netsky.node.bus.sealing import Fresh
from netsky.node.db import inbox
from netsky.node.errors import NotFound, TryLater
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.ledger import LedgerBroken, LedgerFull, Row, Statement
from netsky.node.seams.time import Time

Store = Callable[[Sequence[Statement]], Awaitable[list[list[Row]]]]
"""One durable transaction: `GroupCommit.write`, or the ledger's own before the tasks run."""


class Told(Protocol):
    """Whoever is told what became visible, and what went wrong."""

    def arrived(self, actor: str) -> None:
        """New files stand in this actor's inbox."""

    def taken(self) -> None:
        """Some envelope was taken."""

    def event(self, kind: str, **fields: object) -> None: ...


class Projector:
    """One task runs `run`; it is told of new rows by `offer`, and finds old ones by itself after `reload`."""

    def __init__(self, *, files: Files, channels: str, store: Store, mark: Store, time: Time, told: Told) -> None:
        """`mark` is for rows whose files stand there: nobody waits for it, so it may go along with another commit."""
        self._files = files
        self._channels = channels
        self._store = store
        self._mark_in = mark
        self._time = time
        self._told = told
        self._fresh: deque[Fresh] = deque()
        self._fresh_bytes = 0
        self._unsynced: dict[
            str, list[int]
        ] = {}  # rows by actor whose files stand in a folder that was not synced since
        self._synced_at = -PROJECT_SYNC_NS
        self._told_before = False  # somebody who takes only what is marked was told of some of these, and went away
        self._starts = False
        self._pass = False  # a pass over the rows that are `committed` is wanted, or under way
        self._pass_after = 0  # and has come to this row
        self._failed_now = False  # something failed since it began
        self._failed_passes = 0
        self._sweeps_to_wait = 0
        self._wake = trio.Event()
        self.fault: str | None = None
        """Why some rows could not become files, until they could."""

    def offer(self, fresh: Sequence[Fresh]) -> None:
        """Rows that were just committed. What does not fit in memory is read back from its row."""
        for one in fresh:
            if self._fresh_bytes + one.size > FRESH_BYTES_MAX:
                self._pass = True
                continue
            self._fresh.append(one)
            self._fresh_bytes += one.size
        self._wake.set()

    def reload(self) -> None:
        """Looks for rows that are `committed`, from the oldest on."""
        self._pass = True
        self._pass_after = 0
        self._failed_now = False
        self._wake.set()

    def retry(self, sweeps_max: int) -> None:
        """Called by every sweep: after failures another try is made, less and less often, at last after so many."""
        if self.fault is None:
            return
        self._sweeps_to_wait = min(self._sweeps_to_wait, sweeps_max) - 1
        if self._sweeps_to_wait <= 0:
            self.reload()

    async def run(self) -> None:
        self._unsynced.clear()
        self.reload()  # what an earlier life of this task had in hand when it crashed is known to its rows alone
        while True:
            while await self.turn():
                pass
            await self._wait()
            self._wake = trio.Event()

    async def catch_up(self, store: Store) -> None:
        """At a start, before any task runs and any drain is let in: one pass over all rows still `committed`."""
        self.reload()
        self._starts = True
        while await self._turn(store):
            pass
        await self._settle(store)
        self._starts = False

    async def turn(self) -> bool:
        """One batch, and the mark of what was written, if it is time. False if there was nothing to do."""
        busy = await self._turn(self._store)
        marks = sum(map(len, self._unsynced.values()))
        is_time = not self._fresh and self._time.monotonic() >= self._synced_at + PROJECT_SYNC_NS
        if marks and (is_time or marks >= PROJECT_MARKS):
            await self.settle()
        else:
            self._told_before = bool(marks)
        return busy

    async def settle(self) -> None:
        """The folders are synced, the rows marked."""
        await self._settle(self._mark_in)

    async def _wait(self) -> None:
        """For rows that were just committed; no longer than what is written may stay without its mark."""
        async with trio.open_nursery() as nursery:

            async def due() -> None:
                await self._time.sleep_until(self._synced_at + PROJECT_SYNC_NS)
                nursery.cancel_scope.cancel()

            if self._unsynced:
                nursery.start_soon(due)
            await self._wake.wait()
            nursery.cancel_scope.cancel()

    async def _turn(self, store: Store) -> bool:
        batch = self._next_fresh()
        new = bool(batch)
        if not new:
            batch = await self._next_reloaded(store)
        if not batch:
            return self._pass or bool(self._fresh)
        for actor, own in _by_actor(batch):
            written = await self._write(actor, own, new)
            if written:
                self._unsynced.setdefault(actor, []).extend(written)
                self._told.arrived(actor)  # before the mark: a row may be claimed and taken without it
        return True

    async def _settle(self, store: Store) -> None:
        unsynced, self._unsynced = self._unsynced, {}
        done = [seq for actor, seqs in unsynced.items() if self._sync(actor) for seq in seqs]
        if not done:
            return
        self._synced_at = self._time.monotonic()
        told_before, self._told_before = self._told_before, False
        try:
            await store([inbox.mark_projected(done, self._time.wall())])
        except (TryLater, LedgerFull) as full:
            # The files are there and stay; only the mark is missing, and is made by the next try.
            self._failed(str(full))
        for actor in unsynced if told_before else ():
            self._told.arrived(actor)

    def _next_fresh(self) -> list[Fresh]:
        batch = [self._fresh.popleft() for _ in range(min(len(self._fresh), PROJECT_FILES))]
        self._fresh_bytes -= sum(one.size for one in batch)
        return batch

    async def _next_reloaded(self, store: Store) -> list[Fresh]:
        if not self._pass:
            return []
        try:
            [found] = await store([inbox.unprojected(PROJECT_FILES, self._pass_after)])
        except (TryLater, LedgerFull) as full:
            self._failed(str(full))
            found = []
        rows = inbox.unprojected_rows(found)
        if not rows:
            self._end_pass()
            return []
        self._pass_after = rows[-1].seq
        names = {row.file for row in rows}
        self._fresh = deque(one for one in self._fresh if one.file not in names)  # they were read back just now
        self._fresh_bytes = sum(one.size for one in self._fresh)
        return [fresh_of(row) for row in rows]

    def _end_pass(self) -> None:
        self._pass = False
        self._pass_after = 0
        if not self._failed_now:
            self._failed_passes, self.fault = 0, None
            return
        self._failed_now = False
        self._sweeps_to_wait = 2**self._failed_passes
        self._failed_passes = min(self._failed_passes + 1, 16)

    async def _write(self, actor: str, batch: Sequence[Fresh], new: bool) -> list[int]:
        """The rows whose files now stand in the folder, or did already.

        `new`: they were committed by this process and never tried, so no file of theirs can stand anywhere.
        """
        written: list[int] = []
        try:
            with open_channel(self._files, self._channels, actor) as channel:
                self._tell_displaced(channel)
                try:
                    for count, one in enumerate(batch, 1):
                        write_file(channel, one, new=new, anew=self._starts)
                        written.append(one.seq)
                        if count % PROJECT_YIELD == 0:
                            await trio.lowlevel.checkpoint()
                except (OSError, HostileFile) as error:
                    self._judge(actor, error)  # those before it are there
        except (OSError, HostileFile, NotFound) as error:
            self._judge(actor, error)
        return written

    def _sync(self, actor: str) -> bool:
        try:
            with open_channel(self._files, self._channels, actor) as channel:
                self._tell_displaced(channel)
                self._files.sync_folder(channel.inbox)
        except (OSError, HostileFile, NotFound) as error:
            self._judge(actor, error)
            return False
        return True

    def _judge(self, actor: str, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise LedgerBroken(f"the disk failed while {actor}'s inbox was written: {error.strerror}") from error
        self._failed(f"{actor}'s inbox cannot be written: {getattr(error, 'strerror', None) or error}")

    def _failed(self, sentence: str) -> None:
        """The rows stay as they are; a later sweep tries again."""
        if self.fault is None:
            self._told.event("projection_failed", sentence=sentence)
        self.fault = sentence
        self._failed_now = True

    def _tell_displaced(self, channel: Channel) -> None:
        for sentence in channel.displaced:
            self._told.event("folder_replaced", actor=channel.actor, sentence=sentence)


def write_file(channel: Channel, one: Fresh, *, new: bool, anew: bool = False) -> None:
    """Writes the file unless it is there already, wherever it was moved to since.

    `anew`: also if nobody has moved it yet. An earlier life may have fallen because its folder could not be synced;
    then the system shows a name that no later sync brings to the disk, unless it is written again.
    """
    data = to_file(one.header, one.body, one.proof)
    where = None if new else channel.where(one.file)
    if anew and where == "inbox" and channel.files.remove(channel.inbox, one.file):
        where = None
    if where == "quarantine" and not _is_same(channel, one.file, data):
        where = None  # what was put away was damaged after it was written: the row still knows better
    if where is None:
        channel.files.write_new(channel.inbox, one.file, data, sync=False)


def _is_same(channel: Channel, name: str, data: bytes) -> bool:
    try:
        return channel.files.read(channel.quarantine, name, FILE_BYTES_MAX) == data
    except (HostileFile, FileNotFoundError):
        return False


def fresh_of(row: inbox.Unprojected) -> Fresh:
    """From the sealed bytes of its row."""
    header, body = decode_header(row.header), decode_body(row.body)
    proof = Proof(row.origin, row.id, row.leaf, row.reign, row.life, row.number)
    return Fresh(row.seq, row.actor, row.file, header, body, proof, len(row.body))


def _by_actor(batch: Sequence[Fresh]) -> Iterator[tuple[str, list[Fresh]]]:
    parts: dict[str, list[Fresh]] = {}
    for one in batch:
        parts.setdefault(one.actor, []).append(one)
    yield from parts.items()
