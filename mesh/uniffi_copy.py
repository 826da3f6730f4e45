"""iroh's binding copies bytes into Rust one at a time, in Python: 7 MB/s. Copied at once it is forty times as fast.

The method that does it belongs to generated code of another project, so it is replaced only while it still is, byte
code for byte code, what we know; if a newer binding differs, the shipped one stays and everything works, slowly.
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator
from types import CodeType
from typing import Any


class _Known:
    """The two methods as they were when the replacement was written. Compiled to be compared, never called."""

    rbuf: Any

    @contextlib.contextmanager
    def _reserve(self, num_bytes: Any) -> Iterator[None]:
        if self.rbuf.len + num_bytes > self.rbuf.capacity:
            self.rbuf = _UniffiRustBuffer.reserve(self.rbuf, num_bytes)  # type: ignore[name-defined] # noqa: F821
        yield None
        self.rbuf.len += num_bytes

    def write(self, value: Any) -> None:
        with self._reserve(len(value)):
            for i, byte in enumerate(value):
                self.rbuf.data[self.rbuf.len + i] = byte


def _write_at_once(self: Any, value: Any) -> None:
    with self._reserve(len(value)):
        at = ctypes.addressof(self.rbuf.data.contents) + self.rbuf.len
        ctypes.memmove(at, bytes(value), len(value))


def _same_code(ours: Any, theirs: Any) -> bool:
    known, found = (getattr(getattr(method, "__wrapped__", method), "__code__", None) for method in (ours, theirs))
    if not isinstance(known, CodeType) or not isinstance(found, CodeType):
        return False
    return all(
        getattr(known, part) == getattr(found, part)
        for part in ("co_code", "co_names", "co_varnames", "co_freevars", "co_consts", "co_argcount")
    )


def _same_buffer(buffer: Any) -> bool:
    fields = getattr(buffer, "_fields_", None)
    return fields == [
        ("capacity", ctypes.c_uint64),
        ("len", ctypes.c_uint64),
        ("data", ctypes.POINTER(ctypes.c_char)),
    ]


def copy_at_once(builder: Any, buffer: Any) -> bool:
    """Replaces `builder.write` if builder and buffer are as known. True if the fast copy is in place afterwards."""
    if getattr(builder, "write", None) is _write_at_once:
        return True
    known = (
        struct.calcsize("P") == 8
        and _same_buffer(buffer)
        and _same_code(_Known.write, getattr(builder, "write", None))
        and _same_code(_Known._reserve, getattr(builder, "_reserve", None))
    )
    if known:
        builder.write = _write_at_once
    return known
