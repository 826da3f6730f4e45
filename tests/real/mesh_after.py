"""What must be so on each node when a campaign has drained, beyond a history: fates, errors, files, order."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from netsky.node.lab.books import reading
from netsky.node.lab.history import Appended, Writer

from tests.real.mesh import Machine

FOLDERS = ("inbox", "claimed", "archive", "quarantine")
_FATES = "SELECT leaf, fate, code FROM outcomes WHERE fate != 'delivered'"
_OUT = "SELECT id, leaf, recipient, sender, kind, fate FROM outbox JOIN messages USING (seq) WHERE state = 'done'"
_TAKEN = "SELECT actor, file, id, origin FROM inbox JOIN messages USING (seq) WHERE state = 'taken'"
_FILES = "SELECT actor, file FROM inbox"
_TOLD = (
    "SELECT in_reply_to, actor FROM inbox JOIN messages USING (seq) WHERE kind = 'error' AND in_reply_to IS NOT NULL"
)
_SENT = "SELECT messages.id, messages.lane, recipient FROM outbox JOIN messages USING (seq) ORDER BY messages.seq"
_ARRIVED = (
    "SELECT messages.id, messages.lane, actor FROM inbox JOIN messages USING (seq) WHERE origin = ? ORDER BY inbox.seq"
)


def not_delivered(machine: Machine, refused: str, *, after_a_loss: bool) -> list[str]:
    """Where every actor goes on taking and no machine is lost, the root's refusal alone may end an envelope. Of each
    that did not arrive its actor is told once."""
    wrong, untold = [], {}
    fates = {leaf: rest for leaf, *rest in machine.rows(_FATES)}
    for id_, leaf, recipient, sender, kind, known in machine.rows(_OUT):
        if known == "delivered" and leaf not in fates:
            continue
        if leaf not in fates or known != fates[leaf][0]:
            wrong.append(
                f"{machine.name}: {id_} to {recipient} is {known} in the outbox and {fates.get(leaf)} by itself"
            )
            continue
        fate, code = fates[leaf]
        expected = (fate, code) == ("dead", "authority") and kind == refused
        if not (expected or (after_a_loss and (fate, code) == ("in_doubt", "restored"))):
            wrong.append(f"{machine.name}: {id_} ({kind}) to {recipient} ended as {fate}({code})")
        untold[id_] = sender.partition("@")[0]
    told: dict[str, list[str]] = {}
    for id_, actor in machine.rows(_TOLD):
        told.setdefault(id_, []).append(actor)
    for id_, actor in untold.items():
        if (heard := told.pop(id_, [])) != [actor]:
            wrong.append(f"{machine.name}: that {id_} did not arrive was told to {heard}, not once to {actor}")
    return wrong + [f"{machine.name}: {who} was told that {id_} did not arrive" for id_, who in told.items()]


def archived(machine: Machine, history: str, now: int, hostile: Collection[str]) -> list[str]:
    """What is taken lies in the archive: a drainer that was killed may not have heard of it. What lies elsewhere.

    Files that a restored node forgot are in the archive still, or were put into quarantine as unknown to it.
    """
    taken = {(actor, file): (id_, origin) for actor, file, id_, origin in machine.rows(_TAKEN)}
    forgotten = set()
    for path, _ in machine.databases[:-1]:
        with reading(path) as database:
            forgotten |= set(database.execute(_FILES))
    wrong, lying = [], set()
    for actor in {actor for actor, _ in taken}:
        for place in FOLDERS:
            for name in os.listdir(os.path.join(machine.home.channel(actor), place)):
                if name.startswith(".") or (place == "quarantine" and name.removesuffix(".reason.json") in hostile):
                    continue
                if place == "archive" and (actor, name) in taken:
                    lying.add((actor, name))
                elif place in {"inbox", "claimed"} or (actor, name.removesuffix(".reason.json")) not in forgotten:
                    wrong.append(f"{machine.name}: {name} lies in the {place} of {actor}")
    written = Appended(history)
    Writer(written, lambda: now, node=machine.name, by="test").note_all(
        "archive", [{"id": taken[at][0], "origin": taken[at][1].hex()} for at in sorted(lying)]
    )
    written.close()
    return wrong + [f"{machine.name}: {name} of {actor} is in no archive" for actor, name in taken.keys() - lying]


def order(machines: list[Machine], keys: Mapping[str, str]) -> list[str]:
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
                    at = next(n for n, pair in enumerate(zip(ids, expected, strict=False)) if pair[0] != pair[1])
                    wrong.append(f"{sender.name} to {stream}: {ids[at]} came where {expected[at]} was due")
    return wrong


def history_files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.glob("*.history"))
