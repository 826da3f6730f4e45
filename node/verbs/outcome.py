"""How far one envelope came, and what became of it: for `wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.envelope.kinds import Lane, lane_of
from netsky.node.db import dead_letters, outbox, outcomes
from netsky.node.links.reasons import reason
from netsky.node.verbs.look import visible_rows

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.outbox import Standing
    from netsky.node.db.trace import TraceRow

ENDED = "ended"
STAGES = ("queued", "attaching", "held", "numbered", "at_root", "stored", ENDED)
"""`queued`: waits for its link; `attaching`: its attachments go ahead of it; `held`: the root asked to hold it here;
`numbered`: on its way; `at_root`: stored there; `stored`: at its destination, whose word is on its way back."""


async def stage_of(node: Node, caller: Caller, id: str) -> dict[str, Any]:  # noqa: A002 - the envelope's word
    rows = await visible_rows(node, caller, id)
    row = next((one for one in rows if one.origin == node.identity.key), rows[0])
    key = outcomes.key_of(row.origin, row.id)
    ends, letters, standing = await node.ledger.transaction(
        [outcomes.find([key]), dead_letters.by_ids([id]), outbox.standing(row.seq)]
    )
    stands = next(iter(outbox.standing_rows(standing)), None)
    fate, code, ender, at = _fate(row, outcomes.rows(ends), dead_letters.rows(letters), stands)
    if fate is None:
        assert stands is not None, "what has no outbox row is for an actor here, and delivered"
        return {"id": id, "stage": _stage(node, stands, row.recipient, lane_of(row.kind)), "to": row.recipient}
    sentence, step = reason(code) if code else ("", "")
    return {
        "id": id,
        "stage": ENDED,
        "to": row.recipient,
        "fate": fate,
        "code": code,
        "reason": sentence,
        "next": step.replace("ID", id),
        "ended_by": node.called(ender) if ender else "",
        "ended_at": at,
    }


def _fate(
    row: TraceRow,
    ends: list[outcomes.OutcomeRow],
    letters: list[dead_letters.DeadLetter],
    stands: Standing | None,
) -> tuple[str | None, str | None, bytes | None, int | None]:
    """(fate, code, ender, when). Outcomes go when an envelope can no longer arrive; what died is known longer."""
    if ends and ends[0].leaf == row.leaf:
        return ends[0].fate, ends[0].code, ends[0].ender, ends[0].at
    for letter in letters:
        if letter.seq == row.seq:
            return letter.fate, letter.code, letter.ender, letter.at
    if stands is None:
        return "delivered", None, None, row.stored_at
    if stands.state == "done":
        return "delivered", None, None, row.done_at
    return None, None, None, None


def _stage(node: Node, stands: Standing, recipient: str, lane: Lane) -> str:
    if stands.state == "open":
        if node.is_held(stands.destination, recipient, lane):
            return "held"
        return "attaching" if stands.attached else "queued"
    if stands.state == "numbered":
        return "numbered"
    return "stored" if stands.peer == stands.destination else "at_root"
