"""What a patch says that it changes: a strict reader of git's own format, before git sees it. Pure.

git is forgiving: it skips what it does not understand, guesses names from three places and believes sizes. Whatever is
not exactly what `git diff` writes is refused here, and what git made of the rest is compared with what was read
(`gate.py`), so that the two never mean different things by one patch.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass, field

from netsky.node.work.repo.limits import FILE_BYTES_MAX, HEADER_LINE_BYTES_MAX, PATCH_FILES_MAX

NOTHING = "000000"
"""The mode of what is not there."""


class PatchFault(Exception):
    """What is wrong with a patch: a stable word, and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Touched:
    """One path before and after. A mode or an id that is not said is ""; an id may be the beginning of one."""

    path: bytes
    old_mode: str
    new_mode: str
    old_id: str = ""
    new_id: str = ""


_MODE_LINES = {b"old mode": "old", b"new mode": "new", b"deleted file mode": "old", b"new file mode": "new"}
_NAME_LINES = frozenset({b"rename from", b"rename to", b"copy from", b"copy to"})
_HEADER = re.compile(
    rb"(old mode|new mode|deleted file mode|new file mode|rename from|rename to|copy from|copy to"
    rb"|similarity index|dissimilarity index|index) (.+)",
    re.DOTALL,
)
_INDEX = re.compile(rb"([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})(?: ([0-7]{6}))?")
_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(?: .*)?", re.DOTALL)
_BINARY = re.compile(rb"(literal|delta) (\d{1,12})")
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


@dataclass(slots=True)
class _File:
    """The head of one file's part of the patch."""

    line: bytes
    said: dict[bytes, bytes] = field(default_factory=dict)


def read_patch(patch: bytes) -> list[Touched]:
    """Every path that it touches, in its order. Raises PatchFault."""
    if not patch:
        raise PatchFault("patch_empty", "the patch changes nothing")
    if not patch.endswith(b"\n"):
        raise PatchFault("patch_format", "the patch does not end with a line's end")
    reader = _Reader(patch.split(b"\n")[:-1])
    touched: list[Touched] = []
    files = 0
    while not reader.done:
        touched += _file(reader)
        files += 1
        if files > PATCH_FILES_MAX:
            raise PatchFault("patch_files", f"a patch changes at most {PATCH_FILES_MAX} files")
    return touched


class _Reader:
    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._lines)

    def peek(self) -> bytes:
        return b"" if self.done else self._lines[self._at]

    def take(self) -> bytes:
        if self.done:
            raise PatchFault("patch_format", "the patch ends in the middle of something")
        self._at += 1
        return self._lines[self._at - 1]

    def take_head(self) -> bytes:
        line = self.take()
        if len(line) > HEADER_LINE_BYTES_MAX:
            raise self.fault("is too long")
        return line

    def fault(self, what: str) -> PatchFault:
        return PatchFault("patch_format", f"line {self._at} of the patch {what}")


def _file(reader: _Reader) -> list[Touched]:
    file = _File(reader.take_head())
    if not file.line.startswith(b"diff --git "):
        raise reader.fault('is not the head of a file ("diff --git a/NAME b/NAME")')
    while (found := _HEADER.fullmatch(reader.peek())) is not None:
        reader.take_head()
        name, value = found.groups()
        if name in file.said:
            raise reader.fault("says a thing for the second time")
        file.said[name] = value
    old, new = _names(reader, file)
    content = reader.peek()
    if content.startswith(b"--- "):
        _text(reader, file, old, new)
    elif content == b"GIT binary patch":
        reader.take()
        _binary(reader)
        if _BINARY.fullmatch(reader.peek()):
            _binary(reader)
    elif not file.said:
        raise reader.fault("is the head of a file of which nothing follows")
    return _touched(reader, file, _unquoted(reader, old), _unquoted(reader, new))


def _names(reader: _Reader, file: _File) -> tuple[bytes, bytes]:
    """The two names as they are written, without a/ and b/. The head must say the same as the lines below it."""
    renamed = _NAME_LINES & file.said.keys()
    if renamed:
        kind = min(renamed).split()[0]
        if renamed != {kind + b" from", kind + b" to"}:
            raise reader.fault("belongs to a rename or a copy that does not say both names")
        old, new = file.said[kind + b" from"], file.said[kind + b" to"]
    else:
        rest = file.line.removeprefix(b"diff --git ")
        half, odd = divmod(len(rest) - 1, 2)
        first = rest[:half]
        old = new = b'"' + first[3:] if first.startswith(b'"a/') else first[2:]
        if odd or len(rest) < 7:
            raise reader.fault("does not name one file twice")
    if file.line != b"diff --git " + _with(b"a/", old) + b" " + _with(b"b/", new):
        raise reader.fault("names other files than the lines that belong to it")
    return old, new


def _with(prefix: bytes, name: bytes) -> bytes:
    return b'"' + prefix + name[1:] if name.startswith(b'"') else prefix + name


def _unquoted(reader: _Reader, name: bytes) -> bytes:
    """As git quotes names with bytes that it does not print."""
    if not name.startswith(b'"'):
        if b'"' in name or b"\\" in name or any(byte < 32 or byte == 127 for byte in name):
            raise reader.fault("belongs to a name that had to be quoted")
        return name
    if len(name) < 2 or not name.endswith(b'"'):
        raise reader.fault("belongs to a quoted name that does not end")
    parts = re.findall(rb"[^\"\\]|\\[0-3][0-7]{2}|\\[abtnvfr\"\\]", name[1:-1], re.DOTALL)
    if b"".join(parts) != name[1:-1]:
        raise reader.fault("belongs to a name that is quoted wrongly")
    return bytes(_byte(part) for part in parts)


def _byte(part: bytes) -> int:
    if len(part) == 1:
        return part[0]
    return int(part[1:], 8) if part[1:2].isdigit() else _ESCAPES[part[1:]]


def _text(reader: _Reader, file: _File, old: bytes, new: bytes) -> None:
    made, gone = b"new file mode" in file.said, b"deleted file mode" in file.said
    for sign, name, absent in ((b"--- ", _with(b"a/", old), made), (b"+++ ", _with(b"b/", new), gone)):
        line = reader.take_head()
        if line not in {sign + (b"/dev/null" if absent else name), sign + name + b"\t" if not absent else b""}:
            raise reader.fault("names another file than the head above it")
    hunks = 0
    while (found := _HUNK.fullmatch(reader.peek())) is not None:
        reader.take()
        hunks += 1
        _hunk(reader, *(1 if count is None else int(count) for count in (found[2], found[4])))
    if not hunks:
        raise reader.fault("is not followed by a change")


def _hunk(reader: _Reader, old: int, new: int) -> None:
    while old or new:
        sign = reader.take()[:1]
        if sign == b"\\":
            continue
        old -= sign in {b" ", b"-"}
        new -= sign in {b" ", b"+"}
        if sign not in {b" ", b"-", b"+"} or old < 0 or new < 0:
            raise reader.fault("does not belong to the change that was announced")
    if reader.peek().startswith(b"\\"):
        reader.take()


def _binary(reader: _Reader) -> None:
    found = _BINARY.fullmatch(reader.take_head())
    if found is None:
        raise reader.fault('is not the beginning of a binary change ("literal N" or "delta N")')
    kind, size = found[1], int(found[2])
    if size > FILE_BYTES_MAX:
        raise PatchFault("file_too_large", f"a file in a patch has at most {FILE_BYTES_MAX} bytes")
    first = b""
    while line := reader.take_head():
        if not re.fullmatch(rb"[A-Za-z]([0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]{5})+", line):
            raise reader.fault("is not the content of a binary file")
        first = first or line
    if kind == b"delta" and _delta_makes(reader, first) > FILE_BYTES_MAX:
        raise PatchFault("file_too_large", f"a file in a patch has at most {FILE_BYTES_MAX} bytes")


def _delta_makes(reader: _Reader, line: bytes) -> int:
    """The size of what a delta makes: some bytes of it can stand for gigabytes."""
    try:
        head = zlib.decompressobj().decompress(base64.b85decode(line[1:]), 32)
    except (zlib.error, ValueError):
        raise reader.fault("ends a binary change that cannot be read") from None
    sizes, at = [], 0
    for _ in range(2):
        value, shift = 0, 0
        while at < len(head):
            byte = head[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                sizes.append(value)
                break
    if len(sizes) < 2:
        raise reader.fault("ends a binary change that cannot be read")
    return sizes[1]


def _touched(reader: _Reader, file: _File, old: bytes, new: bytes) -> list[Touched]:
    said = file.said
    modes, ids, both = {"old": "", "new": ""}, ("", ""), ""
    for name, side in _MODE_LINES.items():
        if name in said:
            if modes[side] or said[name] == NOTHING.encode() or not re.fullmatch(rb"[0-7]{6}", said[name]):
                raise reader.fault("belongs to a mode that cannot be")
            modes[side] = said[name].decode()
    if b"index" in said:
        found = _INDEX.fullmatch(said[b"index"])
        if found is None:
            raise reader.fault('belongs to an "index" line that cannot be')
        ids, both = (found[1].decode(), found[2].decode()), (found[3] or b"").decode()
    made, gone = b"new file mode" in said, b"deleted file mode" in said
    if made and gone:
        raise reader.fault("belongs to a file that is both new and deleted")
    old_mode = NOTHING if made else modes["old"] or both
    new_mode = NOTHING if gone else modes["new"] or both
    if old == new:
        return [Touched(new, old_mode, new_mode, *ids)]
    target = Touched(new, NOTHING, new_mode, "", ids[1])
    return [target] if b"copy from" in said else [Touched(old, old_mode, NOTHING, ids[0], ""), target]
