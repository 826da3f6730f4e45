"""What has come in and was not looked at yet. Bounded in bytes, so that a reader stops reading when we are busy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import trio
from netsky.envelope.kinds import Lane
from netsky.mesh.effects import Close
from netsky.mesh.frames import CHANNEL_LANES, CONTROL, Frame
from netsky.mesh.limits import CONTROL_INBOX_BYTES_MAX, CONTROL_QUEUE_MAX, FRAMES_IN_TURN_MAX, LANE_INBOX_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Turn:
    """What the machine is told in one go."""

    frames: list[tuple[int, Frame]]  # channel and frame
    woken: frozenset[Lane]  # there may be more to send on these
    ticked: bool  # a deadline has passed
    ended: Close | None  # nothing more will come


class Inbox:
    """Many readers put, one driver takes. Each channel has room of its own, and control frames are taken first."""

    def __init__(self) -> None:
        self._control: deque[Frame] = deque()
        self._control_bytes = 0
        self._data: deque[tuple[int, Frame, int]] = deque()
        self._bytes = dict.fromkeys(CHANNEL_LANES, 0)
        self.woken: frozenset[Lane] = frozenset()
        self._ticked = False
        self._ended: Close | None = None
        self._something = trio.Event()
        self._room = trio.lowlevel.ParkingLot()

    @property
    def is_empty(self) -> bool:
        return not (self._control or self._data or self._ended)

    async def put(self, channel: int, frame: Frame, size: int) -> None:
        while self._full(channel, size):
            await self._room.park()
        if channel == CONTROL:
            self._control.append(frame)
            self._control_bytes += size
        else:
            self._data.append((channel, frame, size))
            self._bytes[channel] += size
        self._something.set()

    def wake(self, lane: Lane) -> None:
        self.woken |= {lane}
        self._something.set()

    def tick(self) -> None:
        self._ticked = True
        self._something.set()

    def nudge(self) -> None:
        """A turn, although nothing came in."""
        self._something.set()

    def end(self, close: Close) -> None:
        """The first reason stands."""
        self._ended = self._ended or close
        self._something.set()

    async def take(self, *, data: bool = True) -> Turn:
        """Waits for something. What came before the end is still taken, the end alone last.

        Without `data` that of the lanes is left here, and its readers read no further; then the end is not held back
        by it, since nothing comes any more that it could wait for.
        """
        if data and self._data:
            await trio.lowlevel.checkpoint()
        else:
            await self._something.wait()
        frames: list[tuple[int, Frame]] = [(CONTROL, frame) for frame in self._control]
        self._control.clear()
        self._control_bytes = 0
        while data and self._data and len(frames) < FRAMES_IN_TURN_MAX:
            channel, frame, size = self._data.popleft()
            self._bytes[channel] -= size
            frames.append((channel, frame))
        ended = None if data and self._data else self._ended
        turn = Turn(frames, self.woken, self._ticked, ended)
        self.woken, self._ticked = frozenset(), False
        self._something = trio.Event()
        self._room.unpark_all()
        return turn

    def _full(self, channel: int, size: int) -> bool:
        if channel == CONTROL:
            full = self._control_bytes + size > CONTROL_INBOX_BYTES_MAX
            return full or len(self._control) >= CONTROL_QUEUE_MAX
        return self._bytes[channel] + size > LANE_INBOX_BYTES_MAX
