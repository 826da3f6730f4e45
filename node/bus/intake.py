"""Outbox files: how a program without a socket, or one whose daemon was down, sends.

A file is read as a hostile one would be, offered to the door under the name of the outbox's owner, and removed once it
is stored. Refused ones go to quarantine, and their sender reads why in its own inbox; those for which there is no room
stay where they are. The id comes from name and content, so that reading a file twice gives one envelope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from netsky.envelope.file import FileEnvelope, read_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane, lane_of
from netsky.envelope.limits import EXPIRES_MAX_NS, FILE_BYTES_MAX
from netsky.node.bus.accept import ID_BYTES
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.bus.folders import Channel
from netsky.node.bus.limits import INTAKE_FILES, SCAN, YOUNG_NS
from netsky.node.errors import NetskyError, TryLater
from netsky.node.seams.files import FileFacts, Files, HostileFile
from netsky.node.seams.time import Time

Accept = Callable[[str, Via, Sequence[Draft]], Awaitable[Sequence[Accepted | NetskyError]]]

RECEIPT_SUFFIX = ".receipt.json"
"""Published consumers write these beside their answers."""

ERROR_SENDER = "agentinfinity"
"""The voice in which a node tells its own actors what became of their files: code, not a model."""

_IN_THE_WAY = f"It is no envelope, and so many such files stood in the outbox ({SCAN} and more) that they hid others."
_MAY_BE_UNFINISHED = frozenset({"hard_link", "not_json", "not_utf8", "not_an_envelope"})


@dataclass(frozen=True, slots=True)
class Refusal:
    file: str
    code: str
    sentence: str
    id: str | None = None  # that the producer gave it
    silent: bool = False  # an error never causes one


@dataclass(slots=True)
class Taken:
    """What one turn over one outbox did."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left: int = 0  # no room, or perhaps still being written: looked at again by a later turn
    more: bool = False  # there are files that this turn did not come to


@dataclass(slots=True)
class _Place:
    """Where the turns over one outbox have come to."""

    after: str = ""
    full: set[tuple[str, Lane]] = field(default_factory=set)
    """Recipients without room: what comes behind a file that waits for them waits too, so that order holds."""


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    facts: FileFacts
    envelope: FileEnvelope
    draft: Draft


class Intake:
    def __init__(self, *, files: Files, time: Time, accept: Accept) -> None:
        self._files = files
        self._time = time
        self._accept = accept
        self._places: dict[str, _Place] = {}

    async def turn(self, channel: Channel) -> Taken:
        """Takes up to 64 files of one actor, in the order of their names."""
        place = self._places.setdefault(channel.actor, _Place())
        taken = Taken()
        batch: list[_Read] = []
        for name in self._next_names(channel, place, taken):
            place.after = name
            read = self._read(channel, name, taken)
            if read is not None and _recipient(read.draft) in place.full:
                taken.left += 1
            elif read is not None:
                batch.append(read)
        if not taken.more:
            place.after = ""
        await self._offer(channel, batch, place, taken)
        if place.after == "":
            place.full.clear()
        await self._tell_refused(channel, taken)
        return taken

    def _next_names(self, channel: Channel, place: _Place, taken: Taken) -> list[str]:
        found = self._files.names(channel.outbox, SCAN, SCAN)
        names = [name for name in found if not _is_passed_over(name) and name > place.after]
        taken.more = len(names) > INTAKE_FILES
        if len(found) >= SCAN:
            self._uncover(channel, [name for name in found if _is_passed_over(name)], taken)
        return names[:INTAKE_FILES]

    def _uncover(self, channel: Channel, passed_over: list[str], taken: Taken) -> None:
        """What a scan ends before would never be looked at, if nobody moved what it ends with."""
        moved = 0
        for name in passed_over:
            facts = self._files.facts(channel.outbox, name)
            if moved >= INTAKE_FILES or facts is None:
                continue
            if abs(self._time.wall() - facts.mtime_ns) < YOUNG_NS:
                taken.left += 1
            elif channel.put_away(channel.outbox, name, "in_the_way", _IN_THE_WAY) is not None:
                moved += 1
        taken.more |= moved > 0

    def _read(self, channel: Channel, name: str, taken: Taken) -> _Read | None:
        facts = self._files.facts(channel.outbox, name)
        if facts is None:
            return None
        try:
            if not name.endswith(".json"):
                raise HostileFile("not_an_envelope", "its name does not end in .json")
            data = self._files.read(channel.outbox, name, FILE_BYTES_MAX)
            envelope = read_file(data, owner=channel.actor)
        except FileNotFoundError:
            return None
        except (HostileFile, Invalid) as bad:
            code = bad.reason if isinstance(bad, HostileFile) else bad.code
            if code in _MAY_BE_UNFINISHED and abs(self._time.wall() - facts.mtime_ns) < YOUNG_NS:
                taken.left += 1
            else:
                taken.refused.append(Refusal(name, code, bad.sentence))
            return None
        draft = self._draft(channel.actor, name, data, envelope)
        if isinstance(draft, Refusal):
            taken.refused.append(draft)
            return None
        return _Read(name, facts, envelope, draft)

    def _draft(self, actor: str, name: str, data: bytes, envelope: FileEnvelope) -> Draft | Refusal:
        lasts = None if envelope.expires is None else envelope.expires - self._time.wall()
        if lasts is not None and lasts <= 0:
            silent = envelope.kind == "error"
            return Refusal(name, "expired", "It expired before it was taken from the outbox.", envelope.id, silent)
        return Draft(
            to=envelope.to or "agent0",
            text=envelope.text,
            kind=envelope.kind,
            in_reply_to=envelope.in_reply_to,
            thread=envelope.thread,
            swarm=envelope.swarm,
            idempotency_key=envelope.idempotency_key or envelope.id,
            requires_ack=envelope.requires_ack,
            data=envelope.data,
            attachments=envelope.attachments,
            expires_in_ns=None if lasts is None else min(lasts, EXPIRES_MAX_NS),
            parent=envelope.parent,
            id=outbox_id(actor, name, data),
        )

    async def _offer(self, channel: Channel, batch: list[_Read], place: _Place, taken: Taken) -> None:
        results = await self._accept(channel.actor, "outbox", [read.draft for read in batch]) if batch else []
        for read, result in zip(batch, results, strict=True):
            if isinstance(result, Accepted):
                taken.accepted.append(result)
                if self._files.facts(channel.outbox, read.name) == read.facts:  # else it is another file by now
                    self._files.remove(channel.outbox, read.name)
            elif isinstance(result, TryLater):
                taken.left += 1
                place.full.add(_recipient(read.draft))
            else:
                silent = read.envelope.kind == "error"
                taken.refused.append(Refusal(read.name, result.code, result.message, read.envelope.id, silent))

    async def _tell_refused(self, channel: Channel, taken: Taken) -> None:
        """First the error envelope, under a key made from what it tells, then the quarantine: a crash between the two
        repeats both, and the error arrives once."""
        loud = [refusal for refusal in taken.refused if not refusal.silent]
        if loud:
            await self._accept(ERROR_SENDER, "node", [_error(channel.actor, loud)])
        for refusal in taken.refused:
            channel.put_away(channel.outbox, refusal.file, refusal.code, refusal.sentence)


def _error(actor: str, refused: list[Refusal]) -> Draft:
    """One for all of a turn: however many bad files an actor writes, its inbox does not fill with the answers."""
    shown = [
        {"file": ascii(refusal.file)[1:-1][:200], "code": refusal.code, "sentence": refusal.sentence[:400]}
        for refusal in refused[:16]
    ]
    lines = [f"- {one['file']}: {one['sentence']} ({one['code']})" for one in shown]
    count = "One file" if len(refused) == 1 else f"{len(refused)} files"
    text = f"{count} of your outbox could not be sent and went to quarantine/:\n" + "\n".join(lines)
    told = _digest(actor, "refused", ascii([(refusal.file, refusal.code) for refusal in refused]).encode())
    return Draft(
        to=actor,
        text=text.replace("<", "("),  # a refused wrapper token must not be refused again
        kind="error",
        in_reply_to=refused[0].id if len(refused) == 1 else None,
        data={"refused": shown},
        idempotency_key=f"refused-{told}",
    )


def _is_passed_over(name: str) -> bool:
    """A leading dot marks what is still being written."""
    return name[0] == "." or name.endswith(RECEIPT_SUFFIX)


def _recipient(draft: Draft) -> tuple[str, Lane]:
    return draft.to, lane_of(draft.kind)


def outbox_id(actor: str, name: str, data: bytes) -> str:
    """Of the envelope that this file is: whoever wrote it can know it, and reading it twice makes one."""
    return _digest(actor, name, data)


def _digest(actor: str, name: str, data: bytes) -> str:
    parts = (b"netsky outbox file", actor.encode(), name.encode("utf-8", "surrogateescape"), data)
    joined = b"".join(len(part).to_bytes(8) + part for part in parts)
    return hashlib.sha256(joined).hexdigest()[: 2 * ID_BYTES]
