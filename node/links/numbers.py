"""The rows of a link's numbers: what is given, what is acknowledged, what is consumed. One owner for each mark.

Pure: records of the machine in, statements out.
"""

from __future__ import annotations

from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.effects import Acked, Answered, Arrived, Numbered
from netsky.mesh.limits import WINDOW_ENVELOPES
from netsky.node.db import answers, flight, forward, links, outbox
from netsky.node.seams.ledger import Row, Statement


class Marks:
    """(life, number) of each stream, as it stands after the items of a group that were looked at so far."""

    def __init__(self) -> None:
        self._marks: dict[tuple[bytes, str, str], tuple[int, int]] = {}

    def load(self, peer: bytes, rows: list[Row]) -> None:
        for direction, lane, life, number in rows:
            assert isinstance(life, int)
            assert isinstance(number, int)
            self._marks[peer, str(direction), str(lane)] = (life, number)

    def move(self, peer: bytes, direction: str, lane: str, *, life: int, first: int, last: int) -> bool:
        """Whether `first` is next; then the mark stands at `last`."""
        known_life, mark = self._marks.get((peer, direction, lane), (0, 0))
        expected = mark + 1 if life == known_life else 1
        if life < known_life or first != expected:
            return False
        self._marks[peer, direction, lane] = (life, last)
        return True

    def begin(self, peer: bytes, lane: str, life: int) -> None:
        """What goes out there is counted anew."""
        self._marks[peer, "out", lane] = (life, 0)

    def begin_all(self, life: int) -> None:
        for peer, direction, lane in list(self._marks):
            if direction == "out":
                self.begin(peer, lane, life)

    def is_new(self, peer: bytes, lane: str, life: int) -> bool:
        return self._marks.get((peer, "in", lane), (0, 0))[0] < life


def consumed(peer: bytes, record: Arrived | Answered, marks: Marks, now: int) -> list[Statement] | None:
    """The numbers of a frame are used up: mark, life and window, in the transaction of what they brought. None if
    another connection has used them up before."""
    lane, life = record.lane, record.life
    begins = marks.is_new(peer, lane, life)
    if not marks.move(peer, "in", lane, life=life, first=record.first, last=record.mark):
        return None
    stream = outbox.StreamRow(peer, "in", lane, life, record.lineage, record.mark, record.mark_leaf)
    made = [outbox.put_stream(stream)]
    if begins:
        made += [
            outbox.begin_life(stream, now, "the peer began it"),
            *links.forget_lives(peer, lane, life),
        ]
    window = links.WindowRow(lane, life, record.claim_first, record.mark, b"".join(record.leaves), record.claim)
    made.append(links.remember(peer, window))
    before, behind = record.first - 1 - WINDOW_ENVELOPES, record.mark - WINDOW_ENVELOPES
    if behind > 0 and behind // BATCH_MAX > before // BATCH_MAX:  # a batch's worth at a time
        made += links.forget(peer, lane, life, up_to=behind)
    return made


def numbered(peer: bytes, record: Numbered, now: int, *, stored_with: bool = False) -> list[Statement]:
    """`stored_with`: the rows are made by this transaction, and have their numbers already."""
    row = flight.FlightRow(
        *(peer, record.lane, record.life, record.first, record.last),
        *(b"".join(record.leaves), record.seal, record.source, record.rows),
    )
    given = links.give(peer, record.lane, life=record.life, last=record.last, leaf=record.leaves[-1])
    rows = () if stored_with else (_rows_numbered(record, now),)
    return [flight.insert([row]), *rows, given]


def _rows_numbered(record: Numbered, now: int) -> Statement:
    match record.source:
        case "own":
            return outbox.number(record.rows, record.life, record.first, now)
        case "forward":
            return forward.number(record.rows)
        case "outcomes":
            return answers.number(record.rows)


def acknowledged(peer: bytes, record: Acked, now: int) -> list[Statement]:
    lane, life, number = record.lane, record.life, record.number
    made = [
        outbox.acked(peer, lane, life, number, now),
        flight.acknowledged(peer, lane, life, number),
        links.acknowledge(peer, lane, life=life, up_to=number, leaf=record.leaf),
    ]
    if lane == "reply":
        made.insert(0, answers.acknowledged(peer, lane, life, number))
    return made
