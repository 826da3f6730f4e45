"""What waits to be written on one channel: filled without waiting, up to a bound, and emptied by its one writer."""

from __future__ import annotations

from collections import deque

import trio
from netsky.mesh.frames import Frame, encode_frame
from netsky.mesh.limits import WRITE_BYTES_MAX


class Outlet:
    def __init__(self, most: int) -> None:
        self._frames: deque[Frame] = deque()
        self._most = most
        self._something = trio.Event()

    @property
    def is_empty(self) -> bool:
        """What is being written has left already."""
        return not self._frames

    def put(self, frame: Frame) -> bool:
        """False if it has no room for it."""
        if len(self._frames) >= self._most:
            return False
        self._frames.append(frame)
        self._something.set()
        return True

    async def take(self) -> bytes:
        """Waits for a frame. It and those behind it, for one write: its cost hardly depends on its size."""
        if self._frames:
            await trio.lowlevel.checkpoint()
        else:
            self._something = trio.Event()
            await self._something.wait()
        pieces, size = [], 0
        while self._frames and size < WRITE_BYTES_MAX:
            pieces.append(encode_frame(self._frames.popleft()))
            size += len(pieces[-1])
        return b"".join(pieces)
