"""The other door: envelopes that a link brings. Stored once by (origin, id), whatever number they come under.

The link has verified the origin's seal and holds header and body; what is decided here is only whether this node
delivers it. The plan goes into the transaction that moves the link's mark, so a number is consumed exactly when its
envelope has its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from netsky.envelope.address import parse_address
from netsky.envelope.batch import Batch
from netsky.envelope.batch import Statement as Stated
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import Proof, to_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import lane_of
from netsky.envelope.limits import SKEW_NS, TIME_MAX
from netsky.mesh.outcome import Fate
from netsky.node.bus import room
from netsky.node.bus.between import SPEAKERS, schema_of
from netsky.node.bus.limits import ESCAPED_BODY_BYTES_SAFE
from netsky.node.bus.sealing import Fresh, Numbers, SignerIdentity, arrival_name, message_row, names_of, seal_row
from netsky.node.config import Config
from netsky.node.db import actors, arrivals, blobs, inbox, messages, outbox, outcomes, work_held
from netsky.node.db.group import Plan
from netsky.node.db.outbox import Asked
from netsky.node.db.outcomes import OutcomeRow
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.time import Time
from netsky.relay.acks import is_daemons_word, is_given_up
from netsky.relay.authority import ROOT, VOICES, refusal


class Incoming(NamedTuple):
    """One verified statement of an origin's batch, and the number under which the link brought it."""

    batch: Batch
    position: int
    header: Header
    body: Body
    leaf: bytes
    reign: int | None
    life: int
    number: int


class Ingressed(NamedTuple):
    """What is stored about it now. `new` is False for a second arrival, which changed nothing."""

    fate: Fate
    code: str | None
    at: int
    """When it was decided, ns."""
    new: bool
    conflict: bool = False
    """The id was here with another content: this one is refused, and somebody should look."""


class IngressPlanner:
    """A planner of its own, or a part of the link's: `plan` gives statements to be stored with the mark."""

    def __init__(
        self,
        *,
        identity: SignerIdentity,
        config: Callable[[], Config],
        time: Time,
        stored: Callable[[list[Fresh]], None],
        numbers: Numbers,
        pid: int,
        is_root: bool,
    ) -> None:
        """`stored` hears after the commit what is to be projected. On a sibling the root has asked the authority table
        before it sealed the route: here it would only know less, without the owner's [routes]."""
        self._identity = identity
        self._config = config
        self._time = time
        self._stored = stored
        self.between: Callable[[], None] = lambda: None
        """Rung when words between the nodes' own parts have arrived."""
        self._numbers = numbers
        self._pid = pid
        self._is_root = is_root
        self._files = 0
        self.counted: Callable[[Mapping[str, int]], None] = lambda _: None
        """Hears after the commit how many wait for the actors that got something. Set by the links."""

    def reads(self, items: Sequence[Incoming]) -> Sequence[Statement]:
        return self.asks([(item.header, item.body) for item in items])

    def asks(self, envelopes: Sequence[tuple[Header, Body]]) -> Sequence[Statement]:
        """What `reads` asks, before anything is made of the envelopes."""
        if not envelopes:
            return []
        acknowledged = sorted({header.in_reply_to or "" for header, body in envelopes if is_daemons_word(header, body)})
        return [
            outcomes.find([outcomes.key_of(header.origin, header.id) for header, _ in envelopes]),
            actors.all(),
            arrivals.waiting_counts(sorted({_recipient(header) for header, _ in envelopes})),
            messages.newest_seq(),
            blobs.held(list({one.sha256 for _, body in envelopes for one in body.attachments})),
            *([outbox.asked(self._identity.key, acknowledged)] if acknowledged else []),
        ]

    def plan(self, items: Sequence[Incoming], rows: list[list[Row]]) -> Plan[Ingressed]:
        if not items:
            return Plan([])
        now = self._time.wall()
        known = {row.key: row for row in outcomes.rows(rows[0])}
        here = {row.name for row in actors.rows(rows[1])} | {"agent0"} | VOICES
        waiting = arrivals.pairs(rows[2])
        self._numbers.count_on(rows[3])
        held = blobs.held_sizes(rows[4])
        asked = {row.id: row for row in outbox.asked_rows(rows[5])} if len(rows) > 5 else {}
        new_outcomes: list[OutcomeRow] = []
        delivered: list[Incoming] = []
        results: list[Ingressed] = []
        for item in items:
            key = _key(item)
            before = known.get(key)
            if before is not None:
                results.append(_second(item, before, now))
                continue
            code = self._code(item, here, waiting, now) or _unasked(item, asked)
            if code is None and any(held.get(one.sha256) != one.size for one in item.body.attachments):
                code = "attachment_missing"
            outcome = OutcomeRow(
                key=key,
                leaf=item.leaf,
                fate="delivered" if code is None else "dead",
                code=code,
                ender=self._identity.key,
                at=now,
                expires=min(item.header.expires + SKEW_NS, TIME_MAX),
            )
            known[key] = outcome
            new_outcomes.append(outcome)
            results.append(Ingressed("delivered" if code is None else "dead", code, now, True))
            if code is None:
                delivered.append(item)
                actor = _recipient(item.header)
                waiting[actor] = waiting.get(actor, 0) + 1
        if not new_outcomes:
            return Plan([], results)
        statements, fresh, is_between = self._rows(delivered, now)

        def after() -> None:
            self._stored(fresh)
            if is_between:
                self.between()
            self.counted(waiting)

        return Plan([*statements, outcomes.record(new_outcomes)], results, after=after)

    def _code(self, item: Incoming, here: set[str], waiting: dict[str, int], now: int) -> str | None:
        """Why it ends here undelivered, or None."""
        header, name = item.header, self._identity.name
        assert header.destination == self._identity.key, "what is for others the link does not bring here"
        if header.expires < now:
            return "expired"
        sender, recipient = parse_address(header.sender), parse_address(header.to)
        if sender.node is None or recipient.node not in {None, name}:
            return "address"
        recipient = recipient._replace(node=name)
        if recipient.actor not in here and not (recipient.actor == "owner" and name == ROOT):
            return "unknown_actor"
        if (
            self._is_root
            and not is_daemons_word(header, item.body)
            and refusal(sender, recipient, header.kind) is not None
        ):
            return "authority"
        cap = self._config().inbox_envelopes_max
        if waiting.get(recipient.actor, 0) >= room.most(cap, lane_of(header.kind), at_root=self._is_root):
            return "inbox_full"
        stated = item.batch.statements[item.position]
        assert isinstance(stated, Stated)
        if len(stated.body) > ESCAPED_BODY_BYTES_SAFE:
            try:
                to_file(header, item.body, _proof(item))
            except Invalid as invalid:
                return invalid.code
        return None

    def _rows(self, delivered: Sequence[Incoming], now: int) -> tuple[list[Statement], list[Fresh], bool]:
        """And whether words between the nodes are among them: those are taken at once."""
        if not delivered:
            return [], [], False
        seal_of: dict[int, messages.SealRow] = {}
        message_rows, inbox_rows, fresh = [], [], []
        names: list[blobs.Name] = []
        between: list[int] = []
        for item in delivered:
            if id(item.batch) not in seal_of:
                seal_of[id(item.batch)], _ = seal_row(item.batch)
            seal = seal_of[id(item.batch)]
            stated = item.batch.statements[item.position]
            assert isinstance(stated, Stated)
            h, actor = item.header, _recipient(item.header)
            self._files += 1
            seq = self._numbers.next()
            file = arrival_name(h, item.leaf, self._pid, self._files)
            message_rows.append(
                message_row(
                    *(h, stated.header, stated.body),
                    leaf=item.leaf,
                    seal=seal.hash,
                    position=item.position,
                    via="link",
                    now=now,
                    seq=seq,
                )
            )
            names += names_of(seq, item.body)
            came = (now, item.reign, item.life, item.number)
            reply = lane_of(h.kind) == "reply"
            if actor in SPEAKERS and schema_of(h.kind, item.body.data):
                between.append(seq)
                inbox_rows.append(inbox.NewInbox(seq, actor, file, *came, reply=reply, taken_by="node"))
                continue
            inbox_rows.append(inbox.NewInbox(seq, actor, file, *came, h.requires_ack, reply))
            fresh.append(Fresh(seq, actor, file, h, item.body, _proof(item), len(stated.body)))
        seals = list(seal_of.values())
        made = [messages.insert_seals(seals), messages.insert(message_rows), inbox.insert(inbox_rows)]
        if names:
            made.append(blobs.name(names))
        if between:
            made.append(work_held.arrived(between))
        return made, fresh, bool(between)


def _unasked(item: Incoming, asked: dict[str, Asked]) -> str | None:
    """What a daemon says is taken for an envelope of this node, from the actor that it went to, and an acknowledgement
    only if its sender asked: nobody let it pass for any other reason."""
    h = item.header
    if not is_daemons_word(h, item.body):
        return None
    row = asked.get(h.in_reply_to or "")
    answers = (
        row is not None
        and (row.wants_ack or is_given_up(h, item.body))
        and (row.destination, row.recipient, row.thread) == (h.origin, h.sender, h.thread)
        and parse_address(row.sender).actor == _recipient(h)
    )
    return None if answers else "ack_unasked"


def _second(item: Incoming, before: OutcomeRow, now: int) -> Ingressed:
    if before.leaf != item.leaf:
        return Ingressed("dead", "other_content", now, False, conflict=True)
    return Ingressed(before.fate, before.code, before.at, False)


def _key(item: Incoming) -> bytes:
    return outcomes.key_of(item.header.origin, item.header.id)


def _recipient(header: Header) -> str:
    return parse_address(header.to).actor


def _proof(item: Incoming) -> Proof:
    return Proof(item.header.origin, item.header.id, item.leaf, item.reign, item.life, item.number)
