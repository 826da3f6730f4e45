"""A roster on its way from root to sibling, in pieces: the control stream carries acks and heartbeats beside it."""

from __future__ import annotations

from netsky.envelope.invalid import Invalid
from netsky.mesh.frames import RosterPiece
from netsky.mesh.limits import ROSTER_PIECE_BYTES_MAX


class Pieces:
    """What is still to be sent. A newer roster takes the place of the rest of an older one."""

    def __init__(self) -> None:
        self._version = 0
        self._sealed = b""
        self._offset = 0

    def load(self, version: int, sealed: bytes) -> None:
        self._version, self._sealed, self._offset = version, sealed, 0

    @property
    def are_left(self) -> bool:
        return self._offset < len(self._sealed)

    def take(self, count: int) -> list[RosterPiece]:
        taken: list[RosterPiece] = []
        while len(taken) < count and self._offset < len(self._sealed):
            piece = self._sealed[self._offset : self._offset + ROSTER_PIECE_BYTES_MAX]
            taken.append(RosterPiece(self._version, len(self._sealed), self._offset, piece))
            self._offset += len(piece)
        return taken


class Collector:
    """What has come of one roster."""

    def __init__(self) -> None:
        self._version = 0
        self._total = 0
        self._data = bytearray()

    def add(self, piece: RosterPiece) -> bytes | None:
        """All of it, once it is there. Raises Invalid for a piece that does not follow the one before."""
        if piece.offset == 0:
            self._version, self._total, self._data = piece.version, piece.total, bytearray()
        if (piece.version, piece.total, piece.offset) != (self._version, self._total, len(self._data)):
            raise Invalid("roster", "The pieces of the roster do not follow one another.", "roster")
        self._data += piece.piece
        if len(self._data) < self._total:
            return None
        whole, self._data = bytes(self._data), bytearray()
        return whole
