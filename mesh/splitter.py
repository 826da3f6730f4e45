"""Cuts what a stream brings into frames, and believes no length that it says."""

from __future__ import annotations

from netsky.envelope.invalid import Invalid
from netsky.mesh.frames import HEAD_BYTES
from netsky.mesh.limits import READ_BYTES
from netsky.mesh.transport import TransportStream


class FrameSplitter:
    """Cuts a stream of bytes into frames. Holds one frame and one read at most."""

    __slots__ = ("_buffer", "cap")

    def __init__(self, cap: int) -> None:
        self._buffer = bytearray()
        self.cap = cap

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes | None:
        """The next whole frame, without its length. Raises Invalid before a frame above the cap is collected."""
        if len(self._buffer) < HEAD_BYTES:
            return None
        size = int.from_bytes(self._buffer[:HEAD_BYTES], "big")
        if not 0 < size <= self.cap:
            raise Invalid("frame", f"A frame here has 1 to {self.cap} bytes, this one says {size}.", "frame")
        end = HEAD_BYTES + size
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[HEAD_BYTES:end])
        del self._buffer[:end]
        return payload

    async def next(self, stream: TransportStream) -> bytes | None:
        """Reads until there is one; None when the peer finished between two frames. Raises Invalid, TransportError."""
        while (payload := self.take()) is None:
            data = await stream.receive(READ_BYTES)
            if not data:
                if self.between_frames:
                    return None
                raise Invalid("frame", "The stream ended in the middle of a frame.", "frame")
            self.feed(data)
        return payload

    def rest(self) -> bytes:
        """What came behind the last frame that was taken."""
        return bytes(self._buffer)

    @property
    def between_frames(self) -> bool:
        return not self._buffer
