"""`trace`: what this node knows of one envelope's way, each step by the clock of the node that saw it.

No other node is asked. What the root saw travels in its route and comes back in the outcome; what only another node
can tell is named with the command to type there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netsky.envelope.batch import Statement as Sealed
from netsky.envelope.batch import decode_batch
from netsky.envelope.fields import is_id
from netsky.envelope.invalid import Invalid
from netsky.envelope.wire import decode_header
from netsky.mesh.roster import ROOT_NAME
from netsky.mesh.route import Route, open_route
from netsky.node.db import flight, forward, messages, outcomes, passed, routes
from netsky.node.errors import NotFound
from netsky.node.verbs.look import KINDS_MAX, is_party, visible_rows
from netsky.node.verbs.steps import Placed, Step, place
from netsky.relay.acks import ack_id

if TYPE_CHECKING:
    from netsky.envelope.fields import Header
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.db.messages import MessageRow
    from netsky.node.db.outcomes import OutcomeRow
    from netsky.node.db.trace import TraceRow
    from netsky.node.verbs.args import Args

Names = dict[bytes, str]


@dataclass(slots=True)
class Way:
    """The steps of one envelope as far as this node knows them, causes first."""

    me: str
    steps: list[Step] = field(default_factory=list)
    elsewhere: list[tuple[str, str]] = field(default_factory=list)
    """(node, what it knows beyond this)."""

    def add(self, name: str, at: int | None, detail: str = "", *, after: int | None = None, clock: str = "") -> int:
        """Its place, for what it causes."""
        self.steps.append(Step(name, at, clock or self.me, detail, after))
        return len(self.steps) - 1


async def trace_verb(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The steps of one envelope; a step without a time has not happened yet."""
    id = args.text("id")  # noqa: A001
    args.nothing_else()
    try:
        row, *others = await visible_rows(node, caller, id)
    except NotFound:
        if not caller.is_operator or not node.identity.root or not is_id(id):
            raise
        return await _passed(node, id)
    [found, replies, sealed] = await node.ledger.transaction(
        [
            outcomes.find([outcomes.key_of(row.origin, row.id)]),
            messages.replies_to([id], KINDS_MAX),
            routes.of_number(row.lane, row.in_life or 0, row.in_number or 0),
        ]
    )
    ends = outcomes.rows(found)
    outcome = ends[0] if ends else None
    way, names = Way(node.identity.name), _names(node)
    if row.peer is not None:
        _sent(way, row, outcome, names, root=node.identity.root)
    elif row.via == "link":
        _arrived(way, row, outcome, names, _opened(node, sealed))
    else:
        _local(way, row, outcome)
    stored = next((at for at, step in enumerate(way.steps) if step.name in {"stored", "queued"}), 0)
    for answer in messages.rows(replies):
        if is_party(node, caller, answer):
            step = "acknowledged" if answer.id == ack_id(row.origin, row.id) else "answered"
            way.add(step, answer.accepted_at, _told(answer), after=stored)
    return _answer(node, way) | {
        "id": row.id,
        "origin": row.origin.hex(),
        "leaf": row.leaf.hex(),
        "from": row.sender,
        "to": row.recipient,
        "kind": row.kind or "text",
        "in_reply_to": row.in_reply_to,
        "via": row.via,
        "expires": row.expires,
        "outcome": None if outcome is None else outcome.fate,
        "code": None if outcome is None else outcome.code,
        "other_origins": [other.origin.hex() for other in others],
    }


def _answer(node: Node, way: Way) -> dict[str, Any]:
    offsets = {} if node.links is None else node.links.clock_offsets()
    return {
        "steps": [_step(one) for one in place(way.steps, way.me, offsets)],
        "elsewhere": [
            {"node": name, "knows": what, "next": "netsky trace ID"} for name, what in way.elsewhere if name != way.me
        ],
    }


def _step(one: Placed) -> dict[str, Any]:
    step = one.step
    return {
        "step": step.name,
        "at": step.at,
        "clock": step.clock,
        "offset_ns": one.offset,
        "here": one.here,
        "bound": one.bound,
        "skew_ns": one.skew,
        "detail": step.detail,
    }


def _told(answer: MessageRow) -> str:
    return f"{answer.kind or 'text'} from {answer.sender}: {answer.id}"


def _fate(outcome: OutcomeRow) -> str:
    return outcome.fate + (f" ({outcome.code})" if outcome.code else "")


def _names(node: Node) -> Names:
    """Of revoked nodes too."""
    roster, _ = node.membership.roster()
    return {node.identity.key: node.identity.name} | ({m.key: m.name for m in roster.members} if roster else {})


def _name(names: Names, key: bytes) -> str:
    return names.get(key) or key.hex()[:16]


def _opened(node: Node, sealed: list[Any]) -> Route | None:
    """The route by which it came; None at the root, and once it is pruned."""
    charter = node.identity.charter
    if not sealed or charter is None:
        return None
    try:
        return open_route(sealed[0][0], charter.root_key, charter.mesh)
    except Invalid:  # of an earlier root
        return None


# One function for each part that this node can have in it.


def _local(way: Way, row: TraceRow, outcome: OutcomeRow | None) -> None:
    accepted = way.add("accepted", row.accepted_at, f"from {row.sender} via {row.via}")
    _in_the_inbox(way, row, accepted)
    if outcome is not None:
        way.add("outcome", outcome.at, _fate(outcome), after=accepted)


def _in_the_inbox(way: Way, row: TraceRow, cause: int | None) -> None:
    """What a consumer skipped on the way will not happen any more."""
    stored = way.add("stored", row.stored_at, f"for {row.actor}", after=cause)
    by = f"by {row.taken_by}" if row.taken_by else ""
    for name, at, detail in (
        ("projected", row.projected_at, row.file or ""),
        ("claimed", row.claimed_at, ""),
        ("taken", row.taken_at, by),
    ):
        if at is not None or row.taken_at is None:
            way.add(name, at, detail, after=stored)


def _sent(way: Way, row: TraceRow, outcome: OutcomeRow | None, names: Names, *, root: bool) -> None:
    """From here to another node. The root's times are known once the outcome is."""
    assert row.peer is not None
    there, over = _name(names, row.destination), row.done_at is not None
    queued = way.add("queued", row.accepted_at, f"from {row.sender} via {row.via}")
    sealed = way.add("sealed", row.accepted_at if row.is_sealed else None, "in the same transaction", after=queued)
    number = "" if row.number is None else f", number {row.number}"
    waits = ", once its attachments are there" if row.attaching else ""
    last = way.add("numbered", row.numbered_at, f"to {_name(names, row.peer)}{number}{waits}", after=sealed)
    direct = row.peer == row.destination
    if not direct:
        last = way.add("at the root", row.root_received, "stored and accepted", after=last, clock=ROOT_NAME)
        way.add("acked", row.acked_at, f"{ROOT_NAME} has it", after=last)
        last = way.add("routed", row.root_routed, f"to {there}", after=last, clock=ROOT_NAME)
    if outcome is None or outcome.fate == "delivered":
        last = way.add(
            "stored", None if outcome is None else outcome.at, f"for {row.recipient}", after=last, clock=there
        )
    else:
        ender = _name(names, outcome.ender)
        last = way.add("ended", outcome.at, _fate(outcome), after=last, clock=ender)
    if direct:
        way.add("acked", row.acked_at, f"{there} has it", after=last)
    way.add("outcome", row.done_at, "" if outcome is None else _fate(outcome), after=last)
    if over:
        way.steps = _without_unknown(way.steps)
    if not over and not direct and not root:
        way.elsewhere.append((ROOT_NAME, "whether it waits there"))
    if outcome is None or outcome.fate == "delivered":
        way.elsewhere.append((there, "claimed, taken, answered"))


def _without_unknown(steps: list[Step]) -> list[Step]:
    """After the outcome nothing more happens here: what has no time never had one, and its effects get its cause."""
    kept: list[Step] = []
    place_of: dict[int | None, int | None] = {None: None}
    for at, step in enumerate(steps):
        if step.at is None:
            place_of[at] = place_of[step.after]
        else:
            place_of[at] = len(kept)
            kept.append(Step(step.name, step.at, step.clock, step.detail, place_of[step.after]))
    return kept


def _arrived(way: Way, row: TraceRow, outcome: OutcomeRow | None, names: Names, route: Route | None) -> None:
    """From another node to an actor here."""
    origin = _name(names, row.origin)
    last = way.add("queued", row.ts, f"from {row.sender}, as it says", clock=origin)
    if route is not None:
        if origin != ROOT_NAME:
            last = way.add("at the root", route.received, "stored and accepted", after=last, clock=ROOT_NAME)
        last = way.add("routed", route.routed, f"by roster version {route.roster}", after=last, clock=ROOT_NAME)
    _in_the_inbox(way, row, last)
    if outcome is not None:
        stored = next(at for at, step in enumerate(way.steps) if step.name == "stored")
        way.add("outcome", outcome.at, f"{_fate(outcome)}, told to {origin}", after=stored)
    way.elsewhere.append((origin, "sealed, numbered, and that the outcome came back"))


# What only passed the root.


async def _passed(node: Node, id: str) -> dict[str, Any]:  # noqa: A002 - the envelope's word
    """From the rows that are kept for this question alone. Raises NotFound."""
    found = passed.rows(await node.reader.rows(passed.of_id(id)))
    if not found:
        raise NotFound(
            f"no envelope has the id {id!r}; what passes the root is kept in no inbox here, and its id for a week or "
            "20,000 frames, whichever is less",
            next="ask the node that sent it: netsky trace ID",
            code="unknown_id",
        )
    newest, names, way = found[0], _names(node), Way(node.identity.name)
    origin, there = _name(names, newest.origin), _name(names, newest.peer)
    header: Header | None = None
    for row in reversed([row for row in found if row.origin == newest.origin]):
        came = f"from {origin}, for {row.recipient}"
        if row.code is not None:
            received = way.add("at the root", row.at, came)
            way.add("ended", row.at, f"dead ({row.code})", after=received)
            continue
        here = await _still_here(node, row, id)
        header = here.header if here is not None else header
        gone = f"; no longer here: {there} has it, or it ended on the way"
        received = way.add("at the root", row.at, came if here is not None else came + gone)
        if here is not None:
            routed = way.add("routed", here.routed, here.where, after=received)
            way.add("acked", None, "", after=routed)
    way.elsewhere += [(origin, "queued, sealed, numbered, outcome"), (there, "stored, claimed, taken, answered")]
    return _answer(node, way) | {
        "id": id,
        "origin": newest.origin.hex(),
        "leaf": None,
        "from": origin if header is None else header.sender,
        "to": newest.recipient,
        "kind": None if header is None else header.kind or "text",
        "in_reply_to": None if header is None else header.in_reply_to,
        "via": "passed",
        "expires": None if header is None else header.expires,
        "outcome": None if newest.code is None else "dead",
        "code": newest.code,
        "other_origins": sorted({row.origin.hex() for row in found} - {newest.origin.hex()}),
    }


@dataclass(frozen=True, slots=True)
class _Here:
    """What still stands in the forward queue."""

    header: Header
    routed: int | None
    where: str


async def _still_here(node: Node, row: passed.PassedRow, id: str) -> _Here | None:  # noqa: A002 - the envelope's word
    there = _name(_names(node), row.peer)
    for seq, state, attached, batch in await node.reader.rows(forward.received_at(row.origin, row.peer, row.at)):
        assert isinstance(batch, bytes)
        headers = [decode_header(one.header) for one in decode_batch(batch).statements if isinstance(one, Sealed)]
        header = next((one for one in headers if one.id == id), None)
        if header is None:
            continue
        if state == "open":
            waits = f"its attachments go to {there} first" if attached else f"waits here for {there}"
            return _Here(header, None, waits)
        assert isinstance(seq, int)
        frames = await node.reader.rows(flight.of_forward(row.peer, seq))
        route = _opened(node, [(sealed,) for _, sealed in frames])
        return _Here(header, None if route is None else route.routed, f"on its way to {there}")
    return None
