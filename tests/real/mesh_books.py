"""What is left on three nodes when a campaign has drained: lines for its history, and what must not be there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from netsky.node.lab.history import Appended, Writer

from tests.real.mesh import Machine

EXPECTED = ("delivered", "dead(authority)")
"""Nothing else may end an envelope where every actor goes on taking and no machine is lost."""

FOLDERS = ("inbox", "claimed", "archive", "quarantine")
LEFT = {
    "outbox rows without an outcome": "SELECT count(*) FROM outbox WHERE state != 'done'",
    "inbox rows that nobody took": "SELECT count(*) FROM inbox WHERE state != 'taken'",
    "errors that are due": "SELECT count(*) FROM errors_due",
    "frames to be passed on": "SELECT count(*) FROM forward",
    "frames in flight": "SELECT count(*) FROM flight",
    "outcomes on their way": "SELECT count(*) FROM answers",
}
_FATES = "SELECT leaf, fate, code, ender, at FROM outcomes"
_OUT = (
    "SELECT id, origin, leaf, recipient, sender, done_at FROM outbox JOIN messages USING (seq) "
    "WHERE state = 'done' ORDER BY done_at"
)
_DELIVERED = (
    "SELECT id, origin, leaf, actor, lane, life, number, stored_at, kind, sender, in_reply_to, accepted_at "
    "FROM inbox JOIN messages USING (seq) ORDER BY inbox.seq"
)
_TAKEN = "SELECT actor, file, id, origin FROM inbox JOIN messages USING (seq) WHERE state = 'taken'"
_SENT = "SELECT messages.id, messages.lane, recipient FROM outbox JOIN messages USING (seq) ORDER BY messages.seq"
_ARRIVED = (
    "SELECT messages.id, messages.lane, actor FROM inbox JOIN messages USING (seq) WHERE origin = ? ORDER BY inbox.seq"
)


def left(machines: list[Machine]) -> list[str]:
    """What is not at its end yet, a sentence each."""
    found = []
    for machine in machines:
        for what, sql in LEFT.items():
            count = machine.rows(sql)[0][0]
            if count:
                found.append(f"{machine.name}: {count} {what}")
    return found


def note_end(path: str, machines: list[Machine], keys: dict[str, str]) -> list[str]:
    """Writes what the databases say about each end, at the time at which it was stored. Returns what is wrong."""
    events: list[tuple[int, str, str, dict[str, Any]]] = []
    wrong: list[str] = []
    names = {key: name for name, key in keys.items()}
    for machine in machines:
        events += _delivered(machine)
        dead: dict[str, str] = {}
        fates = {leaf: rest for leaf, *rest in machine.rows(_FATES)}
        for id_, origin, leaf, recipient, sender, done_at in machine.rows(_OUT):
            if leaf not in fates:
                wrong.append(f"{machine.name}: {id_} to {recipient} has no outcome at its origin")
                continue
            fate, code, ender, at = fates[leaf]
            told = fate if fate == "delivered" else f"{fate}({code})"
            name = {"id": id_, "origin": origin.hex()}
            events.append((done_at, machine.name, "outcome", {**name, "reason": told}))
            if told not in EXPECTED:
                wrong.append(f"{machine.name}: {id_} to {recipient} ended as {told}")
            if fate == "dead":
                events.append((at, names[ender.hex()], "dead_letter", {**name, "reason": code}))
            if fate != "delivered":
                dead[id_] = sender
        wrong += _errors(machine, dead)
    events.sort(key=lambda event: event[0])
    write = Appended(path)
    for at, node, ev, fields in events:
        by = "node" if ev == "submit_ok" else "test"
        Writer(write, lambda at=at: at, node=node, by=by).note(ev, **fields)
    for machine in machines:
        wrong += _archived(machine, Writer(write, time.time_ns, node=machine.name, by="test"))
    write.close()
    return [*wrong, *_order(machines, keys)]


def _delivered(machine: Machine) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    for id_, origin, leaf, actor, lane, life, number, stored_at, kind, _sender, _cause, accepted_at in machine.rows(
        _DELIVERED
    ):
        name = {"id": id_, "origin": origin.hex(), "hash": leaf.hex(), "dest": f"{actor}@{machine.name}"}
        stream: dict[str, Any] = {}
        if number is not None and lane == "work" and machine.name != "netsky0":
            # Elsewhere rows do not tell every number: the root passes on, and outcomes travel in the lane of replies.
            stream = {"link": f"netsky0>{machine.name}", "ln": lane, "epoch": life, "n": number}
        if kind == "error":  # by the daemon itself
            yield (accepted_at, machine.name, "submit_ok", {**name, "reason": "daemon"})
            yield (stored_at, machine.name, "outcome", {"id": id_, "origin": origin.hex(), "reason": "delivered"})
        yield (stored_at, machine.name, "deliver", {**name, **stream})


def _archived(machine: Machine, history: Writer) -> list[str]:
    """What is taken lies in the archive: a drainer that was killed may not have heard of it. What lies elsewhere."""
    taken = {(actor, file): (id_, origin) for actor, file, id_, origin in machine.rows(_TAKEN)}
    wrong, lying = [], set()
    for actor in {actor for actor, _ in taken}:
        for place in FOLDERS:
            for name in os.listdir(os.path.join(machine.home.channel(actor), place)):
                if name.startswith("."):
                    continue
                if place == "archive" and (actor, name) in taken:
                    lying.add((actor, name))
                else:
                    wrong.append(f"{machine.name}: {name} lies in the {place} of {actor}")
    history.note_all("archive", [{"id": taken[at][0], "origin": taken[at][1].hex()} for at in sorted(lying)])
    return wrong + [f"{machine.name}: {name} of {actor} is in no archive" for actor, name in taken.keys() - lying]


def _errors(machine: Machine, dead: dict[str, str]) -> list[str]:
    """Each that did not arrive is told once, to the actor that sent it."""
    wrong = []
    told: dict[str, list[str]] = {}
    for row in machine.rows(_DELIVERED):
        if row[8] == "error":
            told.setdefault(row[10], []).append(row[3])
    for id_, sender in dead.items():
        if told.pop(id_, []) != [sender.partition("@")[0]]:
            wrong.append(f"{machine.name}: {sender} was not told once that {id_} did not arrive")
    return wrong + [f"{machine.name}: {who} was told that {id_} did not arrive" for id_, who in told.items()]


def _order(machines: list[Machine], keys: dict[str, str]) -> list[str]:
    """Per sending node, receiving actor and lane, envelopes arrive in the order in which they were accepted."""
    wrong = []
    for sender in machines:
        sent: dict[tuple[str, str], list[str]] = {}
        for id_, lane, to in sender.rows(_SENT):
            sent.setdefault((to, lane), []).append(id_)
        for receiver in machines:
            if receiver is sender:
                continue
            arrived: dict[tuple[str, str], list[str]] = {}
            for id_, lane, actor in receiver.rows(_ARRIVED, bytes.fromhex(keys[sender.name])):
                arrived.setdefault((f"{actor}@{receiver.name}", lane), []).append(id_)
            for stream, ids in arrived.items():
                there = set(ids)
                expected = [id_ for id_ in sent.get(stream, []) if id_ in there]
                if ids != expected:
                    at = next(n for n, pair in enumerate(zip(ids, expected, strict=True)) if pair[0] != pair[1])
                    wrong.append(f"{sender.name} to {stream}: {ids[at]} came where {expected[at]} was due")
    return wrong
