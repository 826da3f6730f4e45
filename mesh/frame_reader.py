"""Reading what two nodes say to each other, field by field: never "whatever stands there"."""

from __future__ import annotations

from netsky.envelope.kinds import Lane
from netsky.envelope.msgpack_form import Reader
from netsky.mesh.limits import NUMBER_MAX

LANE_NUMBERS: dict[Lane, int] = {"reply": 1, "work": 2}
"""How a lane is written."""

_LANES: dict[int, Lane] = {number: lane for lane, number in LANE_NUMBERS.items()}


class FrameReader(Reader):
    """The reader of envelopes, with the shapes more that frames have."""

    __slots__ = ()

    def number(self) -> int:
        mark = self._mark()
        if mark < 0x80:
            return mark
        form = {0xCC: (1, 0x80), 0xCD: (2, 0x100), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}.get(mark)
        if form is None:
            raise self.damaged("lacks a whole number where one must be")
        number = self._length(*form)
        if number > NUMBER_MAX:
            raise self.damaged("has a number above 2^63 - 1")
        return number

    def blob(self, limit: int) -> bytes:
        """Bytes of any length."""
        if self._data[self._at : self._at + 1] != b"\xc6":
            return self.binary(limit)
        self._at += 1
        return self.take(self._capped(self._length(4, 1 << 16), limit))

    def exact(self, size: int) -> bytes:
        piece = self.binary(size)
        if len(piece) != size:
            raise self.damaged(f"has {len(piece)} bytes where {size} must be")
        return piece

    def fields(self, count: int) -> None:
        if self.array(count) != count:
            raise self.damaged(f"lacks an array of {count} where one must be")

    def plain(self, limit: int) -> str:
        """Text that a terminal shows as it is."""
        text = self.text(limit)
        if not text.isascii() or not text.isprintable():
            raise self.damaged("has a text that is not printable ASCII")
        return text

    def lane_or_none(self) -> Lane | None:
        """0 stands for none."""
        number = self.number()
        if number and number not in _LANES:
            raise self.damaged("names no known lane")
        return _LANES.get(number)

    def lane(self) -> Lane:
        lane = _LANES.get(self.number())
        if lane is None:
            raise self.damaged("names no known lane")
        return lane
