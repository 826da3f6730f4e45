"""What two nodes say to each other about blobs, as values; as bytes they stand in `frames.py` and README.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Announce:
    """The speaker's next envelopes name these, (hash, size) each, in order. It replaces what was announced before."""

    blobs: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Want:
    hash: bytes
    offset: int
    """Before it the speaker has it all."""


@dataclass(frozen=True, slots=True)
class Have:
    """The speaker holds this blob: whole, verified, durable."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class Pass:
    """The speaker cannot take it, or cannot send it, for now."""

    hash: bytes
    code: str


@dataclass(frozen=True, slots=True)
class BlobHead:
    """First on a stream of its own; the bytes of the blob follow as they are, from this offset to its end."""

    hash: bytes
    offset: int
