"""What a mesh's databases say when a campaign has drained, as lines of its history: each event when it was stored.

Those that a restore set aside are read too: what they knew is what was forgotten. One file for each kind of event and
database, in the order of time; none of it is held in memory.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from netsky.envelope.batch import VERSION, Batch, encode_batch
from netsky.node.home import Home
from netsky.node.lab.history import Appended, Writer

LEAF_BYTES = 32

UNREAD = "inbox rows that nobody took"
LEFT = {
    "outbox rows without an outcome": "SELECT count(*) FROM outbox WHERE state != 'done'",
    UNREAD: "SELECT count(*) FROM inbox WHERE state != 'taken'",
    "errors that are due": "SELECT count(*) FROM errors_due",
    "frames to be passed on": "SELECT count(*) FROM forward",
    "frames in flight": "SELECT count(*) FROM flight",
    "outcomes on their way": "SELECT count(*) FROM answers",
}
_ENDED = (
    "SELECT id, origin, outbox.done_at, coalesce(outcomes.fate, outbox.fate), coalesce(outcomes.code, "
    "(SELECT code FROM dead_letters WHERE dead_letters.seq = outbox.seq)), outcomes.ender, outcomes.at FROM outbox "
    "JOIN messages USING (seq) LEFT JOIN outcomes ON outcomes.leaf = messages.leaf WHERE outbox.state = 'done' "
)
"""An outcome goes when no second arrival is possible any more, its envelope later: what was short-lived stands there
with its fate alone."""
_DELIVERED = (
    "SELECT id, origin, leaf, actor, messages.lane, inbox.life, number, stored_at, expires, seal, "
    "(SELECT routes.id FROM routes WHERE routes.lane = messages.lane AND routes.life = inbox.life "
    "AND routes.first <= number ORDER BY routes.first DESC LIMIT 1) "
    "FROM inbox JOIN messages USING (seq) WHERE stored_at > ? ORDER BY stored_at, inbox.seq"
)
_OF_THE_NODE = (
    "SELECT id, origin, leaf, actor, accepted_at, stored_at FROM inbox JOIN messages USING (seq) "
    "WHERE kind = 'error' AND stored_at > ? ORDER BY accepted_at"
)
_TAKEN = "SELECT actor, file, id, origin FROM inbox JOIN messages USING (seq) WHERE state = 'taken' ORDER BY seq"
_PASSED = "SELECT at, origin, recipient, ids FROM passed WHERE code IS NULL AND at > ? AND at < ? ORDER BY at"
_SEAL = "SELECT type, mesh, signer, signature, leaves FROM seals WHERE seal = ?"
_ROUTE = "SELECT sealed FROM routes WHERE id = ?"


class Place(Protocol):
    """A machine, and what databases it has had."""

    @property
    def name(self) -> str: ...

    @property
    def home(self) -> Home: ...

    @property
    def databases(self) -> list[tuple[str, int]]:
        """The one in use last; before it those that a restore set aside. Each with the time at which its use began."""


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        yield database


def copy(database: str, to: str) -> None:
    with reading(database) as source, closing(sqlite3.connect(to)) as made:
        source.backup(made)


def left(machines: Sequence[Place], *, read: bool = True) -> list[str]:
    """What is not at its end yet, a sentence each; without `read`, what waits for its reader is."""
    found = []
    for machine in machines:
        with reading(machine.home.database) as database:
            for what, sql in LEFT.items():
                if what == UNREAD and not read:
                    continue
                [(count,)] = database.execute(sql)
                if count:
                    found.append(f"{machine.name}: {count} {what}")
    return found


def unsent(machines: Sequence[Place], actors: Sequence[str]) -> list[str]:
    """Files that their nodes have not taken in yet: there was no room for what they hold."""
    folders = [(one.name, actor, Path(one.home.channel(actor), "outbox")) for one in machines for actor in actors]
    files = [(name, actor, len([*folder.glob("*.json")])) for name, actor, folder in folders]
    return [f"{name}: {count} files in the outbox of {actor}" for name, actor, count in files if count]


def unread(machine: Place, actor: str) -> int:
    """How many wait for this reader."""
    with reading(machine.home.database) as database:
        [(count,)] = database.execute("SELECT count(*) FROM inbox WHERE state != 'taken' AND actor = ?", (actor,))
        return int(count)


OpenLines = Callable[[str], "Lines"]
"""By what they are about."""


class Lines:
    """Events that come in the order of their times, written in large pieces."""

    def __init__(self, write: Callable[[bytes], object], close: Callable[[], None] = lambda: None) -> None:
        self._write, self._close = write, close
        self._held: list[bytes] = []

    def note(self, at: int, node: str, ev: str, by: Any = "test", **fields: Any) -> None:
        Writer(self._held.append, lambda: at, node=node, by=by).note(ev, **fields)
        if len(self._held) == 4_096:
            self.flush()

    def flush(self) -> None:
        self._write(b"".join(self._held))
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._close()


def files_in(folder: Path) -> OpenLines:
    """A file for each."""

    def lines(name: str) -> Lines:
        appended = Appended(str(folder / f"{name}.history"))
        return Lines(appended, appended.close)

    return lines


def note_trust(lines_of: OpenLines, machines: Sequence[Place], keys: Mapping[str, str], now: int) -> None:
    """At the beginning: who is the root, and who is enrolled."""
    with lines_of("trust") as lines:
        for machine in machines:
            lines.note(now, machine.name, "trust_set", key=keys["netsky0"], reason="root", epoch=1)
            for key in keys.values():
                lines.note(now, machine.name, "trust_set", key=key, reason="enrolled")


def note_backups(lines_of: OpenLines, backups: list[tuple[int, str, str]]) -> None:
    """Each at the time of the newest thing that it holds."""
    with lines_of("backups") as lines:
        for at, node, file in sorted(backups):
            lines.note(at, node, "backup", key=file)


def note_books(lines_of: OpenLines, machines: Sequence[Place], keys: Mapping[str, str]) -> None:
    names = {key: name for name, key in keys.items()}
    losses = [since for machine in machines for _, since in machine.databases[1:]]
    numbered_until = min(losses, default=1 << 62)
    for machine in machines:
        for at, (path, since) in enumerate(machine.databases):
            with reading(path) as database:
                books = Book(f"{machine.name}-{at}", machine.name, database, since, names)
                with lines_of(f"delivered-{books.name}") as lines:
                    books.delivered(lines, numbered_until)
                with lines_of(f"passed-{books.name}") as lines:
                    books.passed(lines, numbered_until)
                with lines_of(f"daemon-{books.name}") as lines:
                    books.said_by_the_daemon(lines)
                with lines_of(f"outcomes-{books.name}") as lines:
                    books.outcomes(lines)
                with lines_of(f"dead-{books.name}") as lines:
                    books.dead(lines)


def note_ends(lines_of: OpenLines, machines: Sequence[Place], keys: Mapping[str, str], now: int) -> None:
    """What those databases that are in use say of ends, all at one time: for whoever saw the rest as it happened."""
    names = {key: name for name, key in keys.items()}
    for machine in machines:
        with reading(machine.home.database) as database, lines_of(machine.name) as lines:
            Book(machine.name, machine.name, database, 0, names).outcomes(lines, now)


def note_archives(lines_of: OpenLines, machines: Sequence[Place], now: int) -> None:
    """What is taken and lies in an archive: a node that died with its answer puts it there itself, and its actor never
    hears of it."""
    for machine in machines:
        with reading(machine.home.database) as database, lines_of(machine.name) as lines:
            for actor, file, id_, origin in database.execute(_TAKEN):
                if os.path.lexists(os.path.join(machine.home.channel(actor), "archive", file)):
                    lines.note(now, machine.name, "archive", id=id_, origin=origin.hex())


class Book:
    """One database, and since when it was in use."""

    def __init__(
        self, name: str, node: str, database: sqlite3.Connection, since: int, names: Mapping[str, str]
    ) -> None:
        self.name = name
        self._node = node
        self._database = database
        self._since = since
        self._names = names
        self._proven: set[str] = set()

    def delivered(self, lines: Lines, numbered_until: int) -> None:
        """Numbers are told where rows tell all of them: work to siblings, since outcomes travel among the replies, and
        until somebody was restored, since a duplicate consumes one and leaves no row."""
        rows = self._database.execute(_DELIVERED, (self._since,))
        for id_, origin, leaf, actor, lane, life, number, stored_at, expires, seal, route in rows:
            fields = {"id": id_, "origin": origin.hex(), "hash": leaf.hex(), "dest": f"{actor}@{self._node}"}
            if life is not None:
                came_from = "netsky0" if self._node != "netsky0" else self._names[origin.hex()]
                fields |= {"link": f"{came_from}>{self._node}", "ln": lane, "epoch": life}
                value: dict[str, Any] = {"number": number, "expires": expires}
                if seal is not None:
                    value["seal"] = self._proof(lines, stored_at, "seal", seal)
                if route is not None and self._node != "netsky0":
                    value["route"] = self._proof(lines, stored_at, "route", route)
                fields["value"] = value
                if lane == "work" and self._node != "netsky0" and stored_at < numbered_until:
                    fields["n"] = number
            lines.note(stored_at, self._node, "deliver", **fields)

    def said_by_the_daemon(self, lines: Lines) -> None:
        """Its `error` files: envelopes of its own."""
        for id_, origin, leaf, actor, accepted_at, _ in self._database.execute(_OF_THE_NODE, (self._since,)):
            fields = {"id": id_, "origin": origin.hex(), "hash": leaf.hex(), "dest": f"{actor}@{self._node}"}
            lines.note(accepted_at, self._node, "submit_ok", "node", reason="daemon", **fields)

    def passed(self, lines: Lines, until: int) -> None:
        """What the root let pass, each once, until somebody was restored and is sent things again."""
        for at, origin, recipient, ids in self._database.execute(_PASSED, (self._since, until)):
            for id_ in ids.split():
                lines.note(at, self._node, "accept", id=id_, origin=origin.hex(), dest=recipient)

    def outcomes(self, lines: Lines, now: int | None = None) -> None:
        """Each at its own time, or all at that one."""
        for at, fields in sorted(self._outcomes(), key=lambda one: one[0]):
            lines.note(now or at, self._node, "outcome", **fields)

    def _outcomes(self) -> Iterator[tuple[int, dict[str, str]]]:
        for id_, origin, done_at, fate, code, _, _ in self._database.execute(
            f"{_ENDED} AND done_at > ? ORDER BY done_at", (self._since,)
        ):
            told = fate if fate == "delivered" else f"{fate}({code})"
            yield done_at, {"id": id_, "origin": origin.hex(), "reason": told}
        for id_, origin, _, _, _, stored_at in self._database.execute(_OF_THE_NODE, (self._since,)):
            yield stored_at, {"id": id_, "origin": origin.hex(), "reason": "delivered"}

    def dead(self, lines: Lines) -> None:
        for id_, origin, _, _, code, ender, at in self._database.execute(
            f"{_ENDED} AND done_at > ? AND outcomes.fate = 'dead' ORDER BY outcomes.at", (self._since,)
        ):
            lines.note(at, self._names[ender.hex()], "dead_letter", id=id_, origin=origin.hex(), reason=code)

    def _proof(self, lines: Lines, at: int, what: str, number: int) -> str:
        """The sealed bytes that lie in the database, the statements as their leaves; once."""
        name = f"{self.name} {what} {number}"
        if name not in self._proven:
            self._proven.add(name)
            if what == "route":
                [(sealed,)] = self._database.execute(_ROUTE, (number,))
            else:
                [(type_, mesh, signer, signature, leaves)] = self._database.execute(_SEAL, (number,))
                bare = tuple(leaves[place : place + LEAF_BYTES] for place in range(0, len(leaves), LEAF_BYTES))
                sealed = encode_batch(Batch(VERSION, type_, mesh, signer, signature, bare))
            lines.note(at, self._node, "proof", key=name, value=sealed.hex())
        return name


def note_hostile(
    lines_of: OpenLines, machines: Sequence[Place], dropped: list[tuple[str, str, str]], now: int
) -> list[str]:
    """The test looks with its own eyes: gone from where it lay, and kept with a reason beside it."""
    homes = {machine.name: machine.home for machine in machines}
    wrong = []
    with lines_of("hostile") as lines:
        for node, actor, name in dropped:
            channel = Path(homes[node].channel(actor))
            if (channel / "outbox" / name).is_symlink() or (channel / "outbox" / name).exists():
                wrong.append(f"{node}: {name} still lies in the outbox of {actor}")
            reason = channel / "quarantine" / f"{name}.reason.json"
            kept = channel / "quarantine" / name
            if reason.is_file() and (kept.is_symlink() or kept.exists()):
                lines.note(now, node, "quarantine", key=name, reason=_reason_in(reason))
    return wrong


def _reason_in(path: Path) -> str:
    """As its node reads it: a loss of power may have left a part of it."""
    try:
        return str(json.loads(path.read_bytes())["reason"])
    except ValueError:
        return "unreadable"
