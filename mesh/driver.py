"""Drives one link over one connection. Here stands, once, the order of effects: commit, then send.

Everything else in this file carries bytes to the machine and back. Every exception, cancellation included, ends the
connection; nothing half-written is used again, and no machine outlives its connection: the next one starts from what
is stored.
"""

from __future__ import annotations

import math
from dataclasses import replace

import trio
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.mesh.blob_streams import BlobKeeper, BlobStreams
from netsky.mesh.channel import Channel, open_channels, refuse_more_streams
from netsky.mesh.effects import CLOSE_CODES, Acked, Answered, Arrived, Close, Effects
from netsky.mesh.frames import CHANNEL_LANES, CONTROL, LANE_CHANNELS, Bye, Frame, Ping, Pong
from netsky.mesh.inbox import Inbox
from netsky.mesh.limits import (
    CONTROL_QUEUE_MAX,
    FATES_EVERY_NS,
    GOODBYE_SECONDS,
    HELLO_WITHIN_NS,
    SENTENCE_BYTES_MAX,
    WINDOW_ENVELOPES,
)
from netsky.mesh.link import Link
from netsky.mesh.link_store import Clock, LinkStore
from netsky.mesh.offer import Offer
from netsky.mesh.outlet import Outlet
from netsky.mesh.patience import Patience
from netsky.mesh.streams import LANES
from netsky.mesh.transport import Connection, TransportError

OF_THE_PEER = Acked | Answered | Arrived
"""Records that touch no number of ours beyond what the peer has: while they are stored, others may be given."""


class _Over(Exception):
    def __init__(self, close: Close) -> None:
        super().__init__(close.sentence)
        self.close = close


async def run_link(
    link: Link,
    connection: Connection,
    store: LinkStore,
    clock: Clock,
    *,
    dialled: bool,
    blobs: BlobKeeper | None = None,
) -> Close:
    """Until the connection ends: why. An exception of the store ends it too, and is raised. Without `blobs` any stream
    beside the three channels ends it."""
    why = Close("stopped", "This node stops.")
    try:
        channels = await _channels(connection, dialled=dialled)
        if isinstance(channels, Close):
            why = channels
        else:
            driver = Driver(link, connection, channels, store, clock, blobs=blobs)
            try:
                with store.driven(driver):
                    why = await driver.run()
            finally:
                driver.let_go()
    except Exception:
        why = Close("store", "The other node could not store or find what it needed.")
        raise
    finally:
        connection.close(CLOSE_CODES[why.code], f"{why.code}: {why.sentence}".encode()[:SENTENCE_BYTES_MAX])
    return why


async def _channels(connection: Connection, *, dialled: bool) -> dict[int, Channel] | Close:
    with trio.move_on_after(HELLO_WITHIN_NS / 1e9):
        try:
            return await open_channels(connection, dialled=dialled)
        except (Invalid, TransportError) as error:
            return _close_for(error)
    return Close("hello", "The peer opened no streams in time.")


class Driver:
    """The tasks around one machine: three readers, three writers, a heartbeat, and `_turns`, which alone feeds it."""

    def __init__(
        self,
        link: Link,
        connection: Connection,
        channels: dict[int, Channel],
        store: LinkStore,
        clock: Clock,
        *,
        blobs: BlobKeeper | None,
    ) -> None:
        self._link = link
        self._connection = connection
        self._channels = channels
        self._store = store
        self._clock = clock
        self._inbox = Inbox()
        self._patience = Patience()
        self._numbers = True  # the numbers are this driver's own now; else whoever stores something may ask for one
        self._waits = trio.Event()  # something is held back by it, and due before `_awaited`
        self._awaited = math.inf
        self._behind: Close | None = None  # the disk is: what would be numbered now would leave a gap on it for good
        self._deadline = clock.monotonic() + HELLO_WITHIN_NS
        self._opened = trio.Event()
        self._blobs: BlobStreams | None = None
        if blobs is not None:
            self._blobs = BlobStreams(link.blobs, blobs, connection, clock, obey=self._say, end=self._inbox.end)
        self._outlets = {
            number: Outlet(CONTROL_QUEUE_MAX if number == CONTROL else WINDOW_ENVELOPES) for number in channels
        }

    async def run(self) -> Close:
        over, failure = None, None
        async with trio.open_nursery() as nursery:
            for channel in self._channels.values():
                nursery.start_soon(self._read, channel)
                nursery.start_soon(self._write, channel)
            nursery.start_soon(self._watch_streams, nursery)
            if self._blobs is not None:
                nursery.start_soon(self._blobs.run)
            for task in (self._heartbeat, self._lose_patience, self._wait_for_fates):
                nursery.start_soon(task)
            for lane in LANES:
                nursery.start_soon(self._wait_for_more, lane)
            try:
                await self._turns()
            except _Over as ending:
                over = ending.close
                await self._goodbye(over)
            except Exception as error:  # noqa: BLE001 - raised again below, outside of the group that a nursery makes
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        assert over is not None
        return over

    def let_go(self) -> None:
        """It is over. Streams of blobs know the driver, and it them: iroh keeps a port until nobody knows it."""
        self._blobs = None

    # The order of effects.

    async def _turns(self) -> None:
        """Tells the machine what came in, obeys, offers it what may go out; until the link is over."""
        await self._obey(self._link.start(self._clock.monotonic()))
        while True:
            self._numbers = False
            turn = await self._inbox.take(data=not self._link.waits_for_roster)
            for lane in turn.woken:
                self._link.wake(lane)
            effects = self._node_says()
            for channel, frame in turn.frames:
                if effects.close is not None:
                    break
                effects += self._link.receive(channel, frame, self._clock.monotonic(), self._clock.wall())
            if effects.close is None and turn.ended is not None:
                effects += Effects(close=turn.ended)
            elif effects.close is None and turn.ticked:
                effects += self._link.handle_timer(self._clock.monotonic())
            await self._obey(effects)
            self._numbers = True
            self._end_if_behind()
            if self._outlets[CONTROL].is_empty and self._link.has_pieces:
                await self._obey(self._link.pieces())
            for lane in LANES:
                # The window bounds what is on its way, this what is held here.
                wanted = self._link.wanted(lane) if self._outlets[LANE_CHANNELS[lane]].is_empty else None
                if wanted is not None:
                    offers = await self._store.offers(lane, wanted)
                    self._end_if_behind()
                    await self._obey(self._link.submit(lane, offers, self._clock.wall()))
            if self._blobs is not None and self._link.is_open:
                self._blobs.look()

    def _node_says(self) -> Effects:
        """First in a turn, so that who was revoked is so for the frames of this turn."""
        effects = self._link.know(*self._store.roster())
        if effects.close is not None:
            return effects
        effects += self._link.hold(self._store.held())
        self._link.relate(self._store.lineages())
        for lane in LANES:
            effects += self._link.grant(lane, *self._store.window(lane))
        return effects

    async def _obey(self, effects: Effects) -> None:
        """Commit, then send, then tell: the only way from the machine to the world.

        Killed, failed or cancelled before the commit, nothing was sent that depends on it. Killed between commit and
        send, the next hello says what is stored. No send waits here: the queues below are written by tasks of their
        own, so an ack is never stuck behind data that the peer does not read. What waits for company was parted off
        before: nothing is sent here that depends on it.
        """
        effects = self._patience.part(effects, self._clock.monotonic())
        if effects.persist:
            self._numbers = self._numbers or not all(isinstance(record, OF_THE_PEER) for record in effects.persist)
            await self._store.persist(effects.persist)
        for channel, frame in effects.send:
            self._queue(channel, frame)
        for notice in effects.deliver:
            self._store.tell(notice)
        if effects.deadline is not None:
            self._deadline = effects.deadline
        if self._link.is_open:
            self._opened.set()
        if self._patience.due is not None and self._patience.due < self._awaited:
            self._waits.set()
        if effects.close is not None:
            raise _Over(effects.close)

    # What is numbered in another's transaction.

    def number_now(self, lane: Lane, offer: Offer, wall: int) -> Effects | None:
        """For whoever is about to store what is offered: its number, to be stored in that transaction, if this driver
        does not give any itself just now and nothing is before it. Then `go` follows, or `fail`."""
        roster, _ = self._store.roster()
        if self._numbers or lane in self._inbox.woken or not self._store.is_quiet(lane) or self._behind is not None:
            return None
        if not self._link.is_abreast(roster):
            return None
        return self._link.submit_now(lane, offer, wall)

    def look_first(self, lane: Lane) -> None:
        """Something was stored without a number: what comes behind it is numbered when the store was asked again."""
        self._link.wake(lane)

    def go(self, effects: Effects) -> None:
        """It is stored."""
        self._queue_all(effects)

    def fail(self) -> None:
        """It is not: the machine is ahead of the disk."""
        self._behind = Close("store", "This node could not store what it was about to send.")
        self._inbox.end(self._behind)

    def _end_if_behind(self) -> None:
        if self._behind is not None:
            raise _Over(self._behind)

    # Bytes to and fro.

    def _queue_all(self, effects: Effects) -> None:
        for channel, frame in effects.send:
            self._queue(channel, frame)

    def _queue(self, channel: int, frame: Frame) -> None:
        if not self._outlets[channel].put(frame):
            # Data is bounded by the window, control by what an honest peer reads.
            assert channel == CONTROL
            self._inbox.end(Close("slow", "The peer does not read what it is told."))

    async def _read(self, channel: Channel) -> None:
        if channel.number != CONTROL:
            await self._opened.wait()  # the peer's hello may be slower than its first data
        try:
            while (found := await channel.receive()) is not None:
                if not self._answered(channel.number, found[0]):
                    await self._inbox.put(channel.number, *found)
            self._inbox.end(Close("stream", "The peer finished a stream."))
        except (Invalid, TransportError) as error:
            self._inbox.end(replace(_close_for(error), lane=CHANNEL_LANES.get(channel.number)))

    def _answered(self, channel: int, frame: Frame) -> bool:
        """A heartbeat is answered at once, before a commit and without a turn, if nothing came or goes before it."""
        if not isinstance(frame, Ping | Pong) or channel != CONTROL or not self._link.is_open:
            return False
        if not self._inbox.is_empty or not self._outlets[CONTROL].is_empty:
            return False
        effects = self._link.receive(channel, frame, self._clock.monotonic(), self._clock.wall())
        assert not effects.persist
        self._queue_all(effects)
        self._deadline = effects.deadline or self._deadline
        return True

    async def _write(self, channel: Channel) -> None:
        outlet = self._outlets[channel.number]
        try:
            while True:
                await channel.write(await outlet.take())
                if outlet.is_empty and self._has_more(channel.number):
                    self._inbox.nudge()
        except TransportError as error:
            self._inbox.end(_close_for(error))

    def _has_more(self, channel: int) -> bool:
        """There may be something that waited until this had nothing to write."""
        if channel == CONTROL:
            return self._link.has_pieces
        return self._link.wanted(CHANNEL_LANES[channel]) is not None

    def _say(self, effects: Effects) -> None:
        """What the tasks of blobs have to say: nothing that is to be stored before."""
        assert not effects.persist
        self._queue_all(effects)

    async def _watch_streams(self, nursery: trio.Nursery) -> None:
        try:
            if self._blobs is None:
                await refuse_more_streams(self._connection)
            else:
                await self._blobs.accept(nursery, lambda: self._link.is_open)
        except TransportError as error:
            self._inbox.end(_close_for(error))

    async def _heartbeat(self) -> None:
        """In a task of its own, so that a slow commit does not look like a dead node."""
        every = self._link.heartbeat_ns
        beat_at = self._clock.monotonic() + every
        while True:
            await self._clock.sleep_until(min(beat_at, max(self._deadline, self._clock.monotonic() + every // 8)))
            now = self._clock.monotonic()
            if now >= beat_at:
                beat_at = now + every
                self._queue_all(self._link.beat(now))
                self._inbox.nudge()  # what the node wants is said in a turn, and there may be none for long
            if now >= self._deadline:
                self._inbox.tick()

    async def _lose_patience(self) -> None:
        while True:
            due = self._patience.due
            left = math.inf if due is None else due - self._clock.monotonic()
            if left <= 0:
                self._inbox.nudge()  # a turn obeys, though it be nothing
            self._waits, self._awaited = trio.Event(), math.inf if due is None or left <= 0 else due
            with trio.move_on_after(left / 1e9 if left > 0 else math.inf):
                await self._waits.wait()

    async def _wait_for_more(self, lane: Lane) -> None:
        while True:
            await self._store.more(lane)
            self._inbox.wake(lane)

    async def _wait_for_fates(self) -> None:
        while True:
            await self._store.fates()
            self._inbox.wake("reply")
            await self._clock.sleep_until(self._clock.monotonic() + FATES_EVERY_NS)

    async def _goodbye(self, close: Close) -> None:
        """Tells the peer why, if it is still there to hear it, and lets it hang up first so that nothing is cut off."""
        if close.code in {"bye", "stream", "slow", "silent"}:
            return
        self._queue(CONTROL, Bye(close.code, close.sentence, close.lane))
        with trio.move_on_after(GOODBYE_SECONDS):
            await self._connection.closed()


def _close_for(error: Invalid | TransportError) -> Close:
    return Close("frame" if isinstance(error, Invalid) else "stream", str(error))
