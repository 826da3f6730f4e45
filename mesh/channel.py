"""One stream of a connection, as frames."""

from __future__ import annotations

from netsky.envelope.invalid import Invalid
from netsky.mesh.frames import CONTROL, Frame, Open, decode_frame, encode_frame, frame_cap
from netsky.mesh.limits import CHANNELS
from netsky.mesh.splitter import FrameSplitter
from netsky.mesh.transport import Connection, TransportError, TransportStream


class Channel:
    """Any exception, cancellation included, leaves it dead, as it does the stream."""

    def __init__(self, stream: TransportStream, number: int) -> None:
        self.number = number
        self._stream = stream
        self._splitter = FrameSplitter(frame_cap(number))

    async def send(self, *frames: Frame) -> None:
        await self.write(b"".join(map(encode_frame, frames)))

    async def write(self, data: bytes) -> None:
        """Whole frames, as bytes."""
        await self._stream.send(data)

    async def receive(self) -> tuple[Frame, int] | None:
        """The next frame and its size; None when the peer finished between two frames. Raises Invalid otherwise."""
        payload = await self._splitter.next(self._stream)
        return None if payload is None else (decode_frame(payload), len(payload))

    async def opened(self) -> None:
        """Reads which of the channels this is. Raises Invalid."""
        first = await self.receive()
        if first is None or not isinstance(first[0], Open) or not 0 <= first[0].channel < CHANNELS:
            raise Invalid("frame", "The first frame on a stream says which channel it is.", "frame")
        self.number = first[0].channel
        self._splitter.cap = frame_cap(self.number)


async def open_channels(connection: Connection, *, dialled: bool) -> dict[int, Channel]:
    """The three channels of a new connection, by number; whoever dialled opens them. Raises Invalid, TransportError."""
    channels: dict[int, Channel] = {}
    for number in range(CHANNELS):
        if dialled:
            channel = Channel(await connection.open_stream(), number)
            await channel.send(Open(number))
        else:
            channel = Channel(await connection.accept_stream(), CONTROL)
            await channel.opened()
        if channel.number in channels:
            raise Invalid("frame", f"The peer opened channel {channel.number} twice.", "frame")
        channels[channel.number] = channel
    return channels


async def refuse_more_streams(connection: Connection) -> None:
    """Returns never; raises TransportError when the connection ends or a further stream comes."""
    await connection.accept_stream()
    raise TransportError("stream", "The peer opened a stream that a link does not have.")
