"""Blobs of one link, as a machine: what is announced, wanted, held and passed over, in both directions.

The sender announces what its next envelopes name; the receiver says of each that it has it, or from which byte on it
wants it; then the sender opens a stream for that blob and pushes. Nothing here is stored: each connection begins anew,
and what has arrived of a blob is asked of the receiver's store.

No clock, no socket, no trio in here; the tasks around it are in `blob_streams.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.mesh.blob_frames import Announce, BlobHead, Have, Pass, Want
from netsky.mesh.effects import NOTHING, Close, Effects
from netsky.mesh.frames import CONTROL
from netsky.mesh.limits import ANNOUNCED_MAX, BLOB_STREAMS


@dataclass(frozen=True, slots=True)
class Blob:
    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Sending:
    """What the peer wants: this blob from this byte on."""

    blob: Blob
    offset: int


class Blobs:
    """See the head of this file. Methods answer what to say on the control stream."""

    def __init__(self) -> None:
        # Outgoing.
        self._offered: dict[bytes, Blob] = {}
        self._held: set[bytes] = set()  # of those offered, by the peer
        self._said: tuple[Blob, ...] = ()
        self._wants: list[Sending] = []
        self._sending: set[bytes] = set()
        self._passed: list[tuple[bytes, str]] = []
        # Incoming.
        self._announced: dict[bytes, Blob] = {}
        self._queue: list[bytes] = []  # announced, and not asked about since
        self._coming: dict[bytes, Sending] = {}  # wanted by us, and not whole; a place for each stream

    # Outgoing: what the node says, what the peer says about it.

    def offer(self, blobs: Sequence[Blob], *, again: bool = False) -> Effects:
        """The blobs that the next envelopes name, in their order. `again`: say so even if nothing has changed."""
        self._offered = {blob.hash: blob for blob in blobs[:ANNOUNCED_MAX]}
        self._held &= self._offered.keys()
        missing = tuple(blob for blob in self._offered.values() if blob.hash not in self._held)
        if not missing:
            self._said = ()  # the same one again is news: the peer may have let go of it, and nobody asks by himself
            return NOTHING
        if missing == self._said and not again:
            return NOTHING
        fresh = again or not set(missing) <= set(self._said)
        self._said = missing
        # What only became less needs no word: the receiver goes on with what it has begun.
        return Effects(send=((CONTROL, Announce(tuple((b.hash, b.size) for b in missing))),)) if fresh else NOTHING

    @property
    def held(self) -> frozenset[bytes]:
        """Of what was offered, what the peer holds."""
        return frozenset(self._held)

    @property
    def has_news(self) -> bool:
        """Something came that is to be asked about, sent or told of."""
        return bool(self._wants or self._passed or self._queue)

    def next_to_send(self) -> Sending | None:
        """To be followed by `sent` when its stream is over, however that ended."""
        if not self._wants or len(self._sending) >= BLOB_STREAMS:
            return None
        sending = self._wants.pop(0)
        self._sending.add(sending.blob.hash)
        return sending

    def sent(self, hash: bytes) -> None:  # noqa: A002 - the word of the wire
        self._sending.discard(hash)

    def lost(self, hash: bytes) -> Effects:  # noqa: A002
        """It is not here any more: the peer waits for it in vain."""
        return Effects(send=((CONTROL, Pass(hash, "lost")),))

    def passed(self) -> list[tuple[bytes, str]]:
        """What the peer did not take, with its reason, since the last call."""
        found, self._passed = self._passed, []
        return found

    # Incoming.

    def next_to_ask(self) -> Blob | None:
        """A blob about which the store is to be asked; to be followed by `answer`."""
        while self._queue and len(self._coming) < BLOB_STREAMS:
            blob = self._announced.get(self._queue.pop(0))
            if blob is not None and blob.hash not in self._coming:
                self._coming[blob.hash] = Sending(blob, -1)
                return blob
        return None

    def answer(self, blob: Blob, offset: int | str | None) -> Effects:
        """What the store said: from which byte on, None if it is here, or the code of a refusal."""
        if isinstance(offset, int):
            self._coming[blob.hash] = Sending(blob, offset)
            return Effects(send=((CONTROL, Want(blob.hash, offset)),))
        del self._coming[blob.hash]
        said = Have(blob.hash) if offset is None else Pass(blob.hash, offset)
        return Effects(send=((CONTROL, said),))

    def opened(self, head: BlobHead) -> Blob | None:
        """A stream has begun with this: the blob, if it is wanted from that byte on."""
        coming = self._coming.get(head.hash)
        return coming.blob if coming is not None and coming.offset == head.offset else None

    def is_coming(self, hash: bytes) -> bool:  # noqa: A002
        return hash in self._coming

    def arrived(self, hash: bytes, code: str | None) -> Effects:  # noqa: A002
        """Its stream is over: None when it is whole, verified and durable, else why not. Then it is not asked for
        again before the peer announces it again."""
        if self._coming.pop(hash, None) is None:
            return NOTHING  # the peer passed it over before
        return Effects(send=((CONTROL, Have(hash) if code is None else Pass(hash, code)),))

    # Frames of the control stream.

    def receive(self, frame: Announce | Want | Have | Pass) -> Effects:
        match frame:
            case Announce():
                self._announced = {hash_: Blob(hash_, size) for hash_, size in frame.blobs}
                self._queue = [hash_ for hash_ in self._announced if hash_ not in self._coming]
            case Want():
                return self._wanted(frame)
            case Have():
                if frame.hash in self._offered:
                    self._held.add(frame.hash)
            case Pass():
                if self._coming.pop(frame.hash, None) is None:
                    self._passed = [*self._passed, (frame.hash, frame.code)][-ANNOUNCED_MAX:]
        return NOTHING

    def _wanted(self, want: Want) -> Effects:
        blob = self._offered.get(want.hash)
        if blob is None:
            return self.lost(want.hash)  # not offered any more: its envelope ended meanwhile
        if want.offset > blob.size or len(self._wants) >= BLOB_STREAMS:
            return Effects(close=Close("frame", "The peer wants more of a blob than there is, or too many at once."))
        self._wants.append(Sending(blob, want.offset))
        return NOTHING
