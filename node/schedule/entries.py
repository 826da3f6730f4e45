"""`cron.toml`: its entries, what is wrong with it and in which line, and the two changes that a command makes to it.

A change is made to the text, so that every comment and every blank line outside of the entry stays as it was written.
The text is read entry by entry: a thousand at once would hold the node up for a tenth of a second.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from netsky.envelope.address import parse_address
from netsky.envelope.invalid import Invalid
from netsky.node.schedule.cronline import BadLine, CronLine
from netsky.node.schedule.limits import CRON_BYTES_MAX, CRON_ENTRIES_MAX, LABEL_CHARS_MAX, PROMPT_CHARS_MAX
from netsky.node.schedule.zones import NoZone

FILE = "cron.toml"
MISSED = ("last", "skip", "all")

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*cron[ \t]*\]\]", re.MULTILINE)
_PLACE = re.compile(r"at line (\d+)")
_LABEL = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{LABEL_CHARS_MAX - 1}}}")
_KEYS = ("label", "schedule", "target", "prompt", "tz", "missed", "enabled")
_MERGED_MAX = 4
"""A prompt of several lines may hold a line that looks like the head of an entry; not often."""

HEAD = (
    "# The schedules of this node: netsky help time. `netsky cron add` and `rm` leave the rest of this file as it is.\n"
    "# A mistake in it is shown by `netsky status`, and the last good version stays in force.\n"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file that people write."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.sentence}"


class BadFile(Exception):
    def __init__(self, fault: Fault, *, early: bool = False) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.early = early
        """More text behind it could make it whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    line: CronLine
    target: str
    prompt: str
    tz: str
    zone: tzinfo
    missed: str = "last"
    enabled: bool = True

    @property
    def rule(self) -> str:
        """What decides when it is due: once that changes, nothing of before is due any more."""
        return f"{self.line.text} {self.tz}{'' if self.enabled else ' off'}"


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of the file, beginning at `first` (from 1)."""

    first: int
    text: str


def blocks(text: str) -> Iterator[Block]:
    """What stands before the first entry, and each entry with what follows it."""
    start, first = 0, 1
    for found in _HEADER.finditer(text):
        yield Block(first, text[start : found.start()])
        first += text.count("\n", start, found.start())
        start = found.start()
    yield Block(first, text[start:])


def read_entries(
    data: bytes, path: str, zones: Callable[[str], tzinfo], default_tz: str
) -> Iterator[tuple[Entry, Block]]:
    """One after the other, so that whoever reads can pause in between. Raises BadFile at the first fault."""
    text = _text(data, path)
    labels: dict[str, int] = {}
    for block, values in _parsed(blocks(text), path):
        entry = _entry(values, block, path, zones, default_tz)
        line = _line_of(block, "label")
        if entry.label in labels:
            raise BadFile(Fault(path, line, f"{entry.label!r} is there already, in line {labels[entry.label]}"))
        if len(labels) >= CRON_ENTRIES_MAX:
            raise BadFile(Fault(path, line, f"there are more than {CRON_ENTRIES_MAX} entries"))
        labels[entry.label] = line
        yield entry, block


def _text(data: bytes, path: str) -> str:
    if len(data) > CRON_BYTES_MAX:
        raise BadFile(Fault(path, 1, f"the file is larger than {CRON_BYTES_MAX >> 20} MiB"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(Fault(path, data[: error.start].count(b"\n") + 1, "this is no UTF-8 text")) from None


def _parsed(found: Iterator[Block], path: str) -> Iterator[tuple[Block, dict[str, Any]]]:
    head = next(found)
    if toml_of(head, path):
        raise BadFile(Fault(path, head.first, "before the first [[cron]] only comments may stand"))
    for block in found:
        whole, values = _whole_entry(block, found, path)
        if list(values) != ["cron"] or len(values["cron"]) != 1:
            other = next((name for name in values if name != "cron"), "cron")
            raise BadFile(Fault(path, _line_of(whole, other), f"{other!r} does not belong here: only [[cron]] does"))
        yield whole, values["cron"][0]


def _whole_entry(block: Block, more: Iterator[Block], path: str) -> tuple[Block, dict[str, Any]]:
    """With the blocks that belong to it, if its prompt holds what looks like a head: then it seems to end too early."""
    fault: BadFile | None = None
    for _ in range(_MERGED_MAX):
        try:
            return block, toml_of(block, path)
        except BadFile as bad:
            if not bad.early:
                raise
            fault = fault or bad
        following = next(more, None)
        if following is None:
            break
        block = Block(block.first, block.text + following.text)
    assert fault is not None
    raise fault


def toml_of(block: Block, path: str) -> dict[str, Any]:
    """Its values; the line of a fault is that of the file."""
    try:
        return tomllib.loads(block.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        lines = block.text.rstrip("\n").count("\n")
        line = int(place[1]) - 1 if place else lines
        sentence = str(error).partition(" (at ")[0]
        fault = Fault(path, block.first + min(line, lines), f"this is not TOML: {sentence}")
        raise BadFile(fault, early=place is None) from None


def _line_of(block: Block, key: str) -> int:
    """Where the key stands, or else the head of the entry."""
    wanted = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[=.]|[ \t]*\[+[ \t]*(?:cron\.)?{re.escape(key)}\b")
    for number, line in enumerate(block.text.split("\n")):
        if wanted.match(line) and (number or not _HEADER.match(line)):
            return block.first + number
    return block.first


def _entry(values: dict[str, Any], block: Block, path: str, zones: Callable[[str], tzinfo], default_tz: str) -> Entry:
    def fault(key: str, sentence: str) -> BadFile:
        return BadFile(Fault(path, _line_of(block, key), f"{key}: {sentence}"))

    for name in values:
        if name not in _KEYS:
            raise fault(name, f"is no key of an entry; there are {', '.join(_KEYS)}")
    texts = {key: text_in(values, key, fault) for key in ("label", "schedule", "target", "prompt")}
    for key, check in (("label", label_wrong), ("target", target_wrong), ("prompt", prompt_wrong)):
        wrong = check(texts[key])
        if wrong is not None:
            raise fault(key, wrong)
    missed = values.get("missed", "last")
    if missed not in MISSED:
        raise fault("missed", f"is one of {', '.join(MISSED)}")
    enabled = values.get("enabled", True)
    if not isinstance(enabled, bool):
        raise fault("enabled", "is true or false")
    tz = text_in(values, "tz", fault) if "tz" in values else default_tz
    try:
        zone = zones(tz)
    except NoZone as wrong_zone:
        raise fault("tz", str(wrong_zone)) from None
    try:
        line = CronLine(texts["schedule"])
    except BadLine as wrong_line:
        raise fault("schedule", str(wrong_line)) from None
    return Entry(texts["label"], line, texts["target"], texts["prompt"], tz, zone, missed, enabled)


def text_in(values: dict[str, Any], key: str, fault: Callable[[str, str], BadFile]) -> str:
    found = values.get(key)
    if not isinstance(found, str):
        raise fault(key, "is missing" if found is None else "must be text")
    return found


def label_wrong(text: str) -> str | None:
    if _LABEL.fullmatch(text) is None:
        return f"{text[:64]!a} is no name: up to {LABEL_CHARS_MAX} of a-z, 0-9 and . _ -, a letter or digit first"
    return None


def target_wrong(text: str) -> str | None:
    try:
        found = parse_address(text)
    except Invalid as invalid:
        return invalid.sentence
    return None if str(found) == text else f"write it as {found}"


def prompt_wrong(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    return f"has more than {PROMPT_CHARS_MAX} characters" if len(text) > PROMPT_CHARS_MAX else None


def entry_text(values: dict[str, object]) -> str:
    return "\n".join(["[[cron]]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]) + "\n"


def with_entry(text: str, entry: str) -> str:
    """The text with one more entry at its end."""
    front = (text or HEAD).rstrip("\n")
    return f"{front}\n\n{entry}"


def without(text: str, block: Block) -> str:
    """The text without the lines of this entry. Comments and blank lines that stand behind its last line stay: they
    speak of what comes next, and who knows better takes them out."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    first, last = block.first - 1, block.first - 1 + block.text.count("\n") + (not block.text.endswith("\n"))
    while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return "".join([*lines[:first], *lines[last:]])


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, str)
    escaped = "".join(_escaped(letter) for letter in value)
    return f'"{escaped}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter == "\n":
        return "\\n"
    return (
        letter
        if letter.isprintable()
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 1 << 16
        else f"\\U{ord(letter):08x}"
    )
