"""What an outcome changes at the origin of its envelope, and who is to be believed.

Pure: rows in, statements out. Exactly one node ends an envelope: its destination, or the root before it has numbered
it onward. An outcome speaks of one content; the first that is believed stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from netsky.envelope.limits import SKEW_NS, TIME_MAX
from netsky.mesh.outcome import Outcome, ended_by
from netsky.node.db import dead_letters, outbox, outcomes
from netsky.node.db.outbox import Mine
from netsky.node.seams.ledger import Statement

SILENT = frozenset({"error", "outcome", "control"})
"""Kinds whose death causes no error: an error about an error would never end. Nor does that of the node's own words,
which no actor waits for; these are no dead letters either, for nobody could do anything about one."""

LISTED_NS = 7 * 86_400 * 10**9
"""What a restore put in doubt is told for a week, however long ago it had expired."""


@dataclass(frozen=True, slots=True)
class Believed:
    """Who may end envelopes of this node."""

    me: bytes
    root: bytes


@dataclass(slots=True)
class Ended:
    statements: list[Statement] = field(default_factory=list)
    fates: list[tuple[Mine, Outcome]] = field(default_factory=list)
    disbelieved: list[tuple[Outcome, str]] = field(default_factory=list)
    """With the reason: somebody should look."""

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.statements + other.statements, self.fates + other.fates, self.disbelieved + other.disbelieved)


def apply(came: Iterable[tuple[bytes, Outcome]], rows: Mapping[str, Mine], believed: Believed, now: int) -> Ended:
    """`came` are outcomes of this node's envelopes with the key of the peer that brought each."""
    found = Ended()
    over: set[int] = set()
    for peer, outcome in came:
        mine = rows.get(outcome.id)
        if mine is None or mine.state == "done" or mine.seq in over:
            continue  # pruned, or known already: an outcome may come twice
        why = _disbelief(peer, outcome, mine, believed)
        if why is not None:
            found.disbelieved.append((outcome, why))
            continue
        over.add(mine.seq)
        found.fates.append((mine, _as_it_counts(mine, outcome)))
    if found.fates:
        found.statements = _rows(found.fates, believed.me, now)
    return found


def end_here(mine: Sequence[Mine], code: Mapping[int, str], me: bytes, now: int) -> Ended:
    """This node ends its own: `code` by seq. What had a number may have been delivered, so that is in doubt."""
    fates = [
        (one, ended_by(me, (me, one.id, one.leaf), "in_doubt" if one.was_numbered else "dead", code[one.seq], now))
        for one in mine
    ]
    return Ended(_rows(fates, me, now) if fates else [], fates)


def _disbelief(peer: bytes, outcome: Outcome, mine: Mine, believed: Believed) -> str | None:
    if outcome.leaf != mine.leaf:
        return "other_content"
    if outcome.ender not in {mine.destination, believed.root}:
        return "not_its_to_end"
    if believed.me == believed.root:
        return None if outcome.ender == peer == mine.destination else "not_its_to_end"
    if mine.state == "open" and not mine.was_numbered:
        return "never_sent"  # nobody can have ended what has not left this node
    if outcome.ender not in (believed.root, outcome.via):
        return "came_by_another"
    return None


def _as_it_counts(mine: Mine, outcome: Outcome) -> Outcome:
    """Of what is sent again only its destination's first word is certain, and none if that has forgotten it: what it
    ended of this time says nothing about the time before, so the loss is the reason."""
    if outcome.fate == "dead" and outcome.code == "other_content":
        return outcome._replace(fate="in_doubt")  # the other one is of this home too, which has forgotten it
    first_word = outcome.ender == mine.destination and mine.put_back < 2
    if outcome.fate != "dead" or not mine.put_back or first_word:
        return outcome
    return outcome._replace(fate="in_doubt", code="restored")


def _rows(fates: Sequence[tuple[Mine, Outcome]], me: bytes, now: int) -> list[Statement]:
    kept = {
        one.seq: outcomes.OutcomeRow(
            key=outcomes.key_of(me, one.id),
            leaf=one.leaf,
            fate=outcome.fate,
            code=outcome.code or None,
            ender=outcome.ender,
            at=outcome.ended,
            expires=min(max(one.expires + SKEW_NS, now + LISTED_NS if one.put_back else 0), TIME_MAX),
        )
        for one, outcome in fates
    }
    again = [kept[one.seq] for one, _ in fates if one.put_back]
    made = [
        outcomes.record([kept[one.seq] for one, _ in fates if not one.put_back]),
        *([outcomes.amend(again)] if again else ()),
        outbox.done([(one.seq, outcome.received, outcome.routed, outcome.fate) for one, outcome in fates], now),
    ]
    lost = [(one, outcome) for one, outcome in fates if outcome.fate != "delivered" and one.via != "node"]
    if lost:
        letters = [
            dead_letters.NewDeadLetter(one.seq, o.fate, o.code or "unknown", o.ender, o.ended) for one, o in lost
        ]
        made.append(dead_letters.insert(letters, now))
    due = [one.seq for one, _ in lost if one.kind not in SILENT]
    if due:
        made.append(outbox.errors_due(due))
    return made
