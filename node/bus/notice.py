"""What happened in an actor's folder while nobody told: files archived, put away, or put there by strangers.

Each function compares one folder with the table and makes the two agree. The table decides, with one exception: a file
that a consumer moved to archive/ (or processed/) says *taken*, for that is how a consumer without a daemon says it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import trio
from netsky.envelope.file import parse_file_name, to_file
from netsky.envelope.limits import FILE_BYTES_MAX
from netsky.node.bus.folders import Channel
from netsky.node.bus.limits import CHECK_NAMES, SCAN, STRAY_AGE_NS
from netsky.node.bus.project import Store, Told, fresh_of
from netsky.node.bus.quarantine import REASON_BYTES_MAX, REASON_SUFFIX
from netsky.node.db import arrivals, inbox, observe
from netsky.node.seams.files import HostileFile

_ALMOST_SAME_NAME = re.compile(r"\.[0-9]{1,2}$")
"""What quarantine puts behind a name that it has already."""

STRAY_SUFFIX = ".tmp"


async def take_archived(channel: Channel, store: Store, at: int, told: Told) -> int:
    """Rows whose file stands in archive/ or processed/ are taken. Says how many that was new for."""
    count, after = 0, 0
    while True:
        [found] = await store([arrivals.waiting_places(channel.actor, CHECK_NAMES, after)])
        places = arrivals.place_rows(found)
        if not places:
            break
        after = places[-1].seq
        there = [place.file for place in places if _is_archived(channel, place.file)]
        if there:
            [taken] = await store([inbox.take_files(channel.actor, there, at, "archive")])
            count += len(taken)
    if count:
        told.taken()
    return count


def _is_archived(channel: Channel, name: str) -> bool:
    return any(channel.files.facts(folder, name) is not None for folder in channel.archived())


async def sort_out(channel: Channel, folder: int, store: Store, *, strangers: bool) -> None:
    """Files in inbox/ or claimed/ of rows that were taken go to archive/; `strangers`, of no row, to quarantine."""
    names = [name for name in channel.files.names(folder, SCAN, SCAN) if name[0] != "."]
    for part in _parts(names):
        # Listed first and asked second: a row is always there before its file.
        [found] = await store([arrivals.places_of_files(channel.actor, [n for n in part if parse_file_name(n)])])
        states = {place.file: place.state for place in arrivals.place_rows(found)}
        for name in part:
            state = states.get(name)
            if state == "taken":
                channel.files.move(folder, name, channel.archive, name)
            elif state is None and strangers:
                channel.put_away(folder, name, "unknown_file", "the node has no row for it: it did not put it here")
        await trio.lowlevel.checkpoint()


async def record_quarantined(channel: Channel, store: Store, at: int, told: Told, limit: int) -> list[str]:
    """Makes the rows of files that came to quarantine since. Returns the names of those new ones."""
    found = channel.files.names(channel.quarantine, SCAN, SCAN)
    reasons = [name for name in found if name.endswith(REASON_SUFFIX)]
    if not reasons:
        return []
    [rows] = await store([observe.quarantine(channel.actor, 2 * limit)])
    known = {row.name for row in observe.quarantine_rows(rows)}
    new = [name for name in reasons if name.removesuffix(REASON_SUFFIX) not in known][:CHECK_NAMES]
    statements = []
    for name in new:
        kept = name.removesuffix(REASON_SUFFIX)
        reason, sentence, size = _told_reason(channel, name)
        statements.append(observe.quarantined(at, channel.actor, kept, reason=reason, sentence=sentence, size=size))
        told.event("quarantined", actor=channel.actor, name=kept, reason=reason, sentence=sentence)
    if statements:
        await store(statements)
    return [name.removesuffix(REASON_SUFFIX) for name in new]


def _told_reason(channel: Channel, name: str) -> tuple[str, str, int | None]:
    """What the reason file says. The actor may have written anything there: it is shown, and nothing hangs on it."""
    try:
        told = json.loads(channel.files.read(channel.quarantine, name, REASON_BYTES_MAX))
        reason, sentence, size = told["reason"], told["sentence"], told["size"]
    except (HostileFile, FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return "unknown", "Its reason file cannot be read.", None
    if not isinstance(reason, str) or not isinstance(sentence, str):
        return "unknown", "Its reason file cannot be read.", None
    return ascii(reason)[1:-1][:64], sentence[:1024], size if isinstance(size, int) and size >= 0 else None


async def settle_quarantined(channel: Channel, kept: Sequence[str], store: Store, at: int, told: Told) -> bool:
    """Rows whose file went to quarantine: one that says what its row says is over, since no reader takes it; one that
    was damaged after it was written is written again. True if there is something to write again."""
    names = sorted({base for name in kept if parse_file_name(base := _ALMOST_SAME_NAME.sub("", name))})
    if not names:
        return False
    [found] = await store([arrivals.unprojected_files(channel.actor, names)])
    over: list[inbox.Unprojected] = []
    again: list[inbox.Unprojected] = []
    for row in inbox.unprojected_rows(found):
        one = fresh_of(row)
        if channel.where(one.file) != "quarantine":
            continue  # it stands elsewhere: what was put away was another file of its name
        (
            over if _holds(channel, channel.quarantine, one.file, to_file(one.header, one.body, one.proof)) else again
        ).append(row)
    statements = []
    if over:
        statements.append(inbox.take_files(channel.actor, [row.file for row in over], at, "quarantine"))
    if again:
        statements.append(arrivals.write_again([row.seq for row in again]))
    if statements:
        await store(statements)
    for row in over:
        told.event("not_deliverable", actor=channel.actor, id=row.id, file=row.file)
    return bool(again)


async def check_contents(channel: Channel, store: Store) -> int:
    """After a crash: files written without fsync may be empty or cut. Those that do not say what their row says are
    removed and written again. Says how many."""
    damaged = 0
    for folder in (channel.inbox, channel.claimed):
        names = [name for name in channel.files.names(folder, SCAN, SCAN) if parse_file_name(name)]
        for part in _parts(names):
            [found] = await store([arrivals.unprojected_files(channel.actor, part)])
            again = []
            for row in inbox.unprojected_rows(found):
                one = fresh_of(row)
                if not _holds(channel, folder, one.file, to_file(one.header, one.body, one.proof)):
                    again.append(row)
            if again:
                await store([arrivals.write_again([row.seq for row in again])])
                for row in again:
                    channel.files.remove(folder, row.file)
            damaged += len(again)
            await trio.lowlevel.checkpoint()
    return damaged


def remove_strays(channel: Channel, wall: int, *, all_of_ours: bool) -> int:
    """Temporaries of writers that died. In inbox/ only the node writes, so at a start all of them are strays; in
    outbox/ others do, so age decides."""
    files, count = channel.files, 0
    for folder in (channel.inbox, channel.outbox):
        for name in files.names(folder, SCAN, SCAN):
            if not (name[0] == "." and name.endswith(STRAY_SUFFIX)):
                continue
            facts = files.facts(folder, name)
            if facts is None or facts.kind == "folder":
                continue
            if (all_of_ours and folder == channel.inbox) or wall - facts.mtime_ns > STRAY_AGE_NS:
                count += files.remove(folder, name)
    return count


def _holds(channel: Channel, folder: int, name: str, data: bytes) -> bool:
    try:
        return channel.files.read(folder, name, FILE_BYTES_MAX) == data
    except FileNotFoundError:
        return True  # it was moved on: nothing to repair here
    except HostileFile:
        return False


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), CHECK_NAMES):
        yield names[first : first + CHECK_NAMES]
