"""Text for people: ages, times, sizes, tables, and what strangers wrote made harmless."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def age(then_ns: int, now_ns: int) -> str:
    """How long ago, in one unit: `3s ago`, `5m ago`, `2d ago`; `in 5m` for what lies ahead."""
    seconds = (now_ns - then_ns) // 10**9
    if abs(seconds) < 1:
        return "now"
    span = length(abs(seconds))
    return f"{span} ago" if seconds > 0 else f"in {span}"


def length(seconds: float) -> str:
    """A length of time in one unit, two where the first is small: `45s`, `5m`, `1h 20m`, `3d`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    for index, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, left = divmod(whole, size)
            if count < 10 and index < len(_UNITS) - 2:
                below, below_unit = _UNITS[index + 1]
                if left >= below:
                    return f"{count}{unit} {left // below}{below_unit}"
            return f"{count}{unit}"
    raise AssertionError("a second is the smallest unit")


def local_time(ns: int, *, millis: bool = False) -> str:
    """The wall clock of this machine, `2026-11-21 02:18:07`."""
    try:
        moment = datetime.fromtimestamp(ns / 10**9, tz=UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{ns // 10**6 % 1000:03d}" if millis else text


def rfc3339(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns // 10**6 % 1000:03d}Z"


def size(count: int) -> str:
    """`312 B`, `4.1 KiB`, `2.0 GiB`."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 1024 or unit == "TiB":
            return f"{amount:.1f} {unit}"
    raise AssertionError("the last unit takes all")


def plural(count: int, word: str, words: str | None = None) -> str:
    return f"{count} {word if count == 1 else words or word + 's'}"


def visible(text: str, *, lines: bool = False) -> str:
    """What a stranger wrote, with everything that could move the cursor or reorder the line written out.

    With `lines`, line ends stay; a tab becomes spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or (lines and letter == "\n")
        else "    "
        if lines and letter == "\t"
        else f"\\x{ord(letter):02x}"
        if ord(letter) < 256
        else f"\\u{{{ord(letter):x}}}"
        for letter in text
    )


def width(text: str) -> int:
    """Columns on a terminal: wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - a megabyte that most answers do without

    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def cut(text: str, columns: int) -> str:
    """At most so many columns; what is missing shows as `…`."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for letter in text:
        used += width(letter)
        if used > columns - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…" if columns > 0 else ""


def wrapped(line: str, columns: int, hang: int) -> list[str]:
    """Lines of whole words, all but the first set in. A word longer than a line (a path) stays whole, for copying."""
    first, *words = line.split(" ")
    lines, now = [], first
    for word in words:
        if now.isspace() or not now or width(now) + 1 + width(word) <= columns:
            now += " " + word
        else:
            lines.append(now.rstrip())
            now = " " * hang + word
    return [*lines, now]


def without_spare(
    head: Sequence[str], rows: Sequence[Sequence[str]], columns: int, spare: Sequence[str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """A table without the columns that it can spare, as many as must go for the rest to fit uncut: first those that
    are empty, then in the order given. And the names of those that went and were not empty."""
    cells = [[visible(cell) for cell in column] for column in zip(head, *rows, strict=True)]
    empty = [column[0] for column in cells if not any(column[1:])]
    gone: list[str] = []
    for name in sorted(spare, key=lambda name: name not in empty):
        if sum(max(map(width, column)) + 2 for column in cells) - 2 <= columns:
            break
        cells = [column for column in cells if column[0] != name]
        gone.append(name)
    left = [list(row) for row in zip(*cells, strict=True)]
    return left[0], left[1:], [name for name in head if name in gone and name not in empty]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Lines of a table that fit the terminal: the widest column gives way first, and no cell breaks its line."""
    cells = [[visible(cell) for cell in row] for row in (head, *rows)]
    widths = [max(width(row[index]) for row in cells) for index in range(len(head))]
    over = sum(widths) + 2 * (len(widths) - 1) - columns
    while over > 0:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= 6:
            break
        least = max(6, max((size for size in widths if size < widths[widest]), default=6))
        taken = min(over, max(1, widths[widest] - least))
        widths[widest] -= taken
        over -= taken
    return [_line(row, widths) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [cut(cell, room) for cell, room in zip(row, widths, strict=True)]
    padded = [cell + " " * (room - width(cell)) for cell, room in zip(fitted, widths, strict=True)]
    return "  ".join(padded).rstrip()


def listens_at(network: dict[str, Any]) -> str:
    """How this node is reached, in one line for people."""
    shown = ", ".join(network["addresses"]) or "no address that says anything to a peer"
    if network["relay"] is not None:
        shown += f" and over the relay {network['relay']}"
    return shown + (", found by n0's discovery" if network["discovery"] == "n0" else "")
