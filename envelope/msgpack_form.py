"""Reads and writes the few msgpack shapes of bodies and batches, in shortest form only.

A general decoder builds whatever the bytes say before anyone can look: a megabyte of nested empty arrays becomes
seventy. Here the reader names the shape that must come next, so nothing else is ever built, and a longer spelling
of the same value is no spelling.
"""

from __future__ import annotations

from netsky.envelope.invalid import Invalid


class Reader:
    """A position in bytes. Every method takes exactly the shape that it names, or raises Invalid."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def take(self, size: int) -> bytes:
        end = self._at + size
        # Compared with what is there, so a claimed length allocates nothing.
        if end > len(self._data):
            raise self.damaged(f"ends after {len(self._data)} bytes, in the middle of a field")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def array(self, limit: int) -> int:
        """The count of an array."""
        mark = self._mark()
        if 0x90 <= mark <= 0x9F:
            count = mark - 0x90
        elif mark == 0xDC:
            count = self._length(2, 16)
        else:
            raise self.damaged("lacks an array where one must be")
        if count > limit:
            raise self.damaged(f"has an array of {count} where at most {limit} are allowed")
        return count

    def binary(self, limit: int) -> bytes:
        # Two for every statement of every batch, so it is written out instead of calling its neighbours.
        data, at = self._data, self._at
        try:
            if data[at] == 0xC4:
                size, start = data[at + 1], at + 2
            elif data[at] == 0xC5:
                size, start = data[at + 1] << 8 | data[at + 2], at + 3
                if size < 256:
                    raise self.damaged("is not in shortest form")
            else:
                raise self.damaged("lacks bytes where they must be")
        except IndexError:
            raise self.damaged("ends where bytes must be") from None
        if size > limit:
            raise self.damaged(f"has a field of {size} bytes where at most {limit} are allowed")
        self._at = end = start + size
        # Compared with what is there: a slice would be short in silence.
        if end > len(data):
            raise self.damaged("ends in the middle of a field")
        return data[start:end]

    def rest(self) -> tuple[bytes, int]:
        """The bytes and the position, for a caller who reads many of one shape in one go; then `skip_to`."""
        return self._data, self._at

    def skip_to(self, at: int) -> None:
        assert self._at <= at <= len(self._data)
        self._at = at

    def pair(self) -> bool:
        """Whether an array of two comes next; it is taken if so."""
        if self._at < len(self._data) and self._data[self._at] == 0x92:
            self._at += 1
            return True
        return False

    def text(self, limit: int) -> str:
        mark = self._mark()
        if 0xA0 <= mark <= 0xBF:
            size = mark - 0xA0
        elif mark == 0xD9:
            size = self._length(1, 32)
        elif mark == 0xDA:
            size = self._length(2, 256)
        else:
            raise self.damaged("lacks a string where one must be")
        try:
            return self.take(self._capped(size, limit)).decode()
        except UnicodeDecodeError:
            raise self.damaged("has a string that is not UTF-8") from None

    def unsigned(self) -> int:
        mark = self._mark()
        if mark < 0x80:
            return mark
        if mark == 0xCC:
            return self._length(1, 0x80)
        if mark == 0xCD:
            return self._length(2, 0x100)
        if mark == 0xCE:
            return self._length(4, 0x10000)
        raise self.damaged("lacks a whole number where one must be")

    def nothing(self) -> bool:
        """Whether nil comes next; it is taken if so."""
        if self._at < len(self._data) and self._data[self._at] == 0xC0:
            self._at += 1
            return True
        return False

    def end(self) -> None:
        if self._at != len(self._data):
            raise self.damaged(f"has {len(self._data) - self._at} bytes after its end")

    def damaged(self, how: str) -> Invalid:
        return Invalid(self._what, f"The {self._what} {how}.", "damaged")

    def _mark(self) -> int:
        if self._at >= len(self._data):
            raise self.damaged("ends where a field must begin")
        mark = self._data[self._at]
        self._at += 1
        return mark

    def _length(self, size: int, least: int) -> int:
        length = int.from_bytes(self.take(size), "big")
        if length < least:
            raise self.damaged("is not in shortest form")
        return length

    def _capped(self, size: int, limit: int) -> int:
        if size > limit:
            raise self.damaged(f"has a field of {size} bytes where at most {limit} are allowed")
        return size


def array_head(count: int) -> bytes:
    return bytes((0x90 + count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")


def binary_head(size: int) -> bytes:
    return bytes((0xC4, size)) if size < 256 else b"\xc5" + size.to_bytes(2, "big")
