"""Drain: claim → emit → archive, by whoever consumes an actor's envelopes. No daemon is needed for it.

    with Drain(files, folder, link) as drain:
        for item in drain.envelopes():
            ...
            drain.ack(item.name)

*Taken* is said by the consumer, by `ack`, and by nothing else: bytes written to a pipe may be read by nobody. The row
is marked first, then the file moves to archive/. With the daemon down (`link` is None) the file moves alone, and the
daemon marks the row when it sees it there. What is claimed and not acked is shown again by the next drain.

This module is imported by everyday commands and inside fences: standard library and light modules only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from netsky.envelope.file import FileEnvelope, parse_file_name, read_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.node.bus.folders import Channel, open_folder_of, refusing
from netsky.node.bus.quarantine import is_safe_name
from netsky.node.errors import Conflict
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.real_files import temporary_name

BATCH = 256
"""Names asked of the daemon at once: one group commit's worth."""

SCAN = 4_096
"""Directory entries looked at for one batch: a folder of a million files costs no more than one of four thousand."""

LOCK = ".drain.lock"

Trust = Literal["checked", "unchecked"]


class Link(Protocol):
    """The daemon, as far as a drain needs it."""

    def claim(self, names: Sequence[str]) -> Mapping[str, str]:
        """For each file name "ok", "taken" (said before), "kept" (not handed out for now) or "unknown" (the node has no
        row of it)."""

    def ack(self, names: Sequence[str]) -> object:
        """These are taken, durably, when it returns. File names; the node's verb takes ids as well."""


@dataclass(slots=True)
class Drained:
    """One envelope in hand."""

    envelope: FileEnvelope
    name: str
    data: bytes  # the file as it stands
    trust: Trust  # "checked": the daemon has its row; "unchecked": it was down and nobody could be asked
    again: bool  # it was claimed before and not acked

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON object of the file, with keys that we do not know."""
        found: dict[str, Any] = json.loads(self.data)
        return found


@dataclass(frozen=True, slots=True)
class PutAway:
    """A file that went to quarantine instead of being shown."""

    name: str
    reason: str
    sentence: str


class Drain:
    """One consumer of one channel folder; a lock keeps a second one out."""

    def __init__(self, files: Files, folder: str, link: Link | None) -> None:
        self._files = files
        self._path = folder
        self._link = link
        self._lock: int | None = None
        self._channel: Channel | None = None
        self._in_hand: set[str] = set()
        self.put_away: list[PutAway] = []
        """What this drain sent to quarantine so far."""
        self.kept: list[str] = []
        """What the node did not hand out in the latest pass: it is halted, or cut off from netsky0."""

    def __enter__(self) -> Self:
        channel = self._open()
        lock = self._files.lock(channel.folder, LOCK)
        if lock is None:
            self._close()
            raise Conflict(
                "another drain is reading these messages",
                next="wait until it has ended, or look without taking: netsky channel tail",
                code="drain_running",
            )
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if self._lock is not None:
            self._files.close(self._lock)
            self._lock = None

    def __iter__(self) -> Iterator[Drained]:
        return self.envelopes()

    def envelopes(self, limit: int | None = None) -> Iterator[Drained]:
        """One pass: what was left in claimed/, then the inbox in the order of names until it is empty.

        To follow, call it again: what is in hand (shown by this drain, not yet acked) is not shown twice.
        """
        channel = self._open()  # anew for each pass: a folder may have been replaced meanwhile
        self.kept.clear()
        left = limit
        for again, folder in ((True, channel.claimed), (False, channel.inbox)):
            passed: set[str] = set()
            while left is None or left > 0:
                names = self._names(folder, passed)
                if not names:
                    break
                passed.update(names)
                for item in self._shown(channel, folder, names if left is None else names[:left], again):
                    yield item
                    left = None if left is None else left - 1

    def ack(self, *names: str) -> None:
        """The consumer has them: the daemon's row first, then the file."""
        if not names:
            return
        if self._link is not None:
            self._link.ack(names)
        channel = self._channel or self._open()
        for name in names:
            self._files.move(channel.claimed, name, channel.archive, name)
            self._in_hand.discard(name)

    def give_back(self, *names: str) -> None:
        """Into the inbox again, as if never claimed."""
        channel = self._channel or self._open()
        for name in names:
            self._files.move(channel.claimed, name, channel.inbox, name)
            self._in_hand.discard(name)

    def _names(self, folder: int, passed: set[str]) -> list[str]:
        """The next names of a folder that are not in hand; a leading dot marks what is still being written."""
        found = self._files.names(folder, SCAN, SCAN)
        fresh = (name for name in found if name[0] != "." and name not in passed and name not in self._in_hand)
        return [name for _, name in zip(range(BATCH), fresh, strict=False)]

    def _shown(self, channel: Channel, folder: int, names: list[str], again: bool) -> Iterator[Drained]:
        states = self._states(names)
        for name in names:
            state = states[name]
            if state == "taken":
                self._files.move(folder, name, channel.archive, name)
            elif state == "kept":
                self.kept.append(name)
            elif state != "ok":
                self._put_away(channel, folder, name, state, _SENTENCES[state])
            elif folder == channel.claimed or self._files.move(folder, name, channel.claimed, name):
                item = self._read(channel, name, again)
                if item is not None:
                    self._in_hand.add(name)
                    yield item

    def _states(self, names: list[str]) -> dict[str, str]:
        """For each name "ok", "taken", "kept", or the reason why it cannot be shown."""
        if self._link is None:
            return {
                name: "ok" if is_safe_name(name) and name.endswith(".json") else "not_an_envelope" for name in names
            }
        # What has not the form of our names has no row, and need not be put into a request.
        asked = [name for name in names if parse_file_name(name) is not None]
        answers = self._link.claim(asked) if asked else {}
        known = {name: answers.get(name, "unknown") for name in asked}
        return {name: state if (state := known.get(name)) in _SAID else "unknown_file" for name in names}

    def _read(self, channel: Channel, name: str, again: bool) -> Drained | None:
        try:
            data = self._read_file(channel, name)
            envelope = read_file(data)
        except FileNotFoundError:
            return None
        except HostileFile as hostile:
            self._put_away(channel, channel.claimed, name, hostile.reason, hostile.sentence)
            return None
        except Invalid as invalid:
            self._put_away(channel, channel.claimed, name, invalid.code, invalid.sentence)
            return None
        return Drained(envelope, name, data, "unchecked" if self._link is None else "checked", again)

    def _read_file(self, channel: Channel, name: str) -> bytes:
        try:
            return self._files.read(channel.claimed, name, FILE_BYTES_MAX)
        except HostileFile as hostile:
            # Where no file without a name can be made, a crash may have left the projector's second link.
            if hostile.reason == "hard_link" and self._files.remove(channel.inbox, temporary_name(name)):
                return self._files.read(channel.claimed, name, FILE_BYTES_MAX)
            raise

    def _put_away(self, channel: Channel, folder: int, name: str, reason: str, sentence: str) -> None:
        if channel.put_away(folder, name, reason, sentence) is not None:
            self.put_away.append(PutAway(name, reason, sentence))

    def _open(self) -> Channel:
        self._close()
        with refusing(self._path):
            self._channel = open_folder_of(self._files, self._path)
        return self._channel

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


_SAID = ("ok", "taken", "kept")

_SENTENCES = {
    "unknown_file": "the node has no row for a file of this name: it did not put it here",
    "not_an_envelope": "its name is not that of an envelope",
}
