"""The door of the bus: every envelope that starts on this node passes here, whoever it is for.

A pure decision over the rows of one group: what is stored already, who may speak to whom, whether there is room. What
passes gets an id, a time, a place in a sealed batch and its rows, all in the one transaction of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, cast

from netsky.envelope.address import Address, whole
from netsky.envelope.clock import next_clock
from netsky.envelope.fields import HEADER_VERSION, Header
from netsky.envelope.file import Proof, to_file
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import SENDABLE, Lane, kind_or_text
from netsky.envelope.wire import encode_header
from netsky.node.bus import room
from netsky.node.bus.attached import blobs_of, check_attachments
from netsky.node.bus.door import Door
from netsky.node.bus.draft import Accepted, Offer, refused_field
from netsky.node.bus.limits import (
    ESCAPED_BODY_BYTES_SAFE,
    OUTBOX_BYTES_MAX,
    OUTBOX_ENVELOPES_MAX,
    OUTBOX_REPLY_RESERVE,
    OUTBOX_REPLY_RESERVE_BYTES,
)
from netsky.node.bus.onward import Onward
from netsky.node.bus.refusals import no_actor, no_node, not_allowed
from netsky.node.bus.sealing import Fresh, Numbers, Sealed, Sealer, Sealing, SignerIdentity
from netsky.node.config import Config
from netsky.node.db import actors, arrivals, blobs, messages, node_state, outbox
from netsky.node.db.actors import ActorRow
from netsky.node.db.group import Plan
from netsky.node.errors import Conflict, NetskyError, TryLater
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.time import Time
from netsky.relay.authority import ROOT, VOICES, Relation, refusal

ID_RANDOM_BYTES = 5
"""Behind the 16 hex digits of the clock. Ids that rise with time go to the end of the table's index, where random
ones would touch a page each: a third of the cost of a row, and more with every million rows."""

ID_BYTES = 8 + ID_RANDOM_BYTES
"""26 hex digits: short enough to type the beginning of, long enough never to meet again."""


class Mesh(Protocol):
    """What the door asks about other nodes."""

    def key_of(self, name: str) -> bytes | None: ...

    def was_revoked(self, name: str) -> bool: ...

    def next_hop(self, destination: bytes) -> bytes: ...


@dataclass(slots=True)
class _Share:
    """What stands in the outbox, in all or for one destination."""

    envelopes: int = 0
    bytes: int = 0

    def add(self, envelopes: int, size: int) -> None:
        self.envelopes += envelopes
        self.bytes += size


@dataclass(slots=True)
class _Group:
    """What one group knows and has decided so far."""

    now: int
    actors: dict[str, ActorRow]
    waiting: dict[str, int]
    open: _Share
    shares: dict[bytes, _Share]
    causes: list[arrivals.Cause]
    stored: dict[str, arrivals.Stored]
    keys: dict[tuple[str, str], arrivals.FirstUse]
    held: dict[bytes, int]  # blobs that are here, with their sizes
    tails: bytes  # for the ids of the group: one draw for all costs a tenth of one for each
    results: list[Accepted | NetskyError | int | None]  # a number: the same as the result at that place
    own_ids: dict[str, int] = field(default_factory=dict)  # ids given by outbox files in this group
    own_keys: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)
    lots: dict[tuple[bytes, Lane], list[Sealing]] = field(default_factory=dict)
    verdicts: dict[tuple[str, str, Address, str | None, str | None], NetskyError | None] = field(default_factory=dict)


class AcceptPlanner:
    """Items are offers, results are `Accepted`."""

    def __init__(
        self,
        *,
        identity: SignerIdentity,
        config: Callable[[], Config],
        time: Time,
        chance: Chance,
        mesh: Mesh,
        accepted: Callable[[list[Fresh], Collection[tuple[bytes, Lane]]], None],
        numbers: Numbers,
        pid: int,
        held: Callable[[bytes, str, Lane], bool] = lambda *_: False,
    ) -> None:
        """`accepted` hears, after the commit, what is to be projected, and to which nodes something goes next. `held`
        tells whether what is for a node or its actor is held on that lane."""
        self._identity = identity
        self._config = config
        self._time = time
        self._chance = chance
        self._mesh = mesh
        self._accepted = accepted
        self._held = held
        self._numbers = numbers
        self._sealer = Sealer(identity, mesh.next_hop, numbers, pid)
        self.door = Door()

    def reads(self, items: Sequence[Offer]) -> Sequence[Statement]:
        key = self._identity.key
        recipients, causes, ids, keys = _asked(items)
        return [
            actors.all(),
            arrivals.waiting_counts(recipients),
            outbox.shares(),
            arrivals.causes(causes),
            arrivals.stored(key, ids),
            messages.newest_seq(),
            blobs.held(blobs_of(items)),
            *(arrivals.first_uses(key, actor, found) for actor, found in keys.items()),
        ]

    def plan(self, items: Sequence[Offer], rows: list[list[Row]]) -> Plan[Accepted]:
        group = self._group(items, rows)
        self._numbers.count_on(rows[5])
        for index, offer in enumerate(items):
            try:
                group.results[index] = self._known(group, offer)
                if group.results[index] is None:
                    self._admit(group, index, offer)
            except NetskyError as refused:
                group.results[index] = refused
            except Invalid as invalid:
                group.results[index] = refused_field(invalid)
        sealed = self._sealer.seal(group.lots, group.now)
        for index, accepted in sealed.accepted:
            group.results[index] = accepted
        results = [_resolved(group.results, index) for index in range(len(items))]
        if not sealed.statements:
            return Plan([], results)
        statements = [*sealed.statements, node_state.raise_to(node_state.CLOCK, self.door.clock)]
        return Plan(statements, results, after=partial(self._stored, sealed), undone=sealed.given.fail)

    def _stored(self, sealed: Sealed) -> None:
        sealed.given.go()
        self._accepted(sealed.fresh, sealed.outgoing)

    def hand_to(self, onward: Onward) -> None:
        """Where what goes to other nodes may have its numbers at once."""
        self._sealer.onward = onward

    def _group(self, items: Sequence[Offer], rows: list[list[Row]]) -> _Group:
        _, _, _, keys = _asked(items)
        shares = {cast("bytes", key): _Share(cast("int", n), cast("int", size)) for key, n, size in rows[2]}
        total = _Share(sum(one.envelopes for one in shares.values()), sum(one.bytes for one in shares.values()))
        return _Group(
            now=self._time.wall(),
            actors={row.name: row for row in actors.rows(rows[0])},
            waiting=arrivals.pairs(rows[1]),
            open=total,
            shares=shares,
            causes=arrivals.cause_rows(rows[3]),
            stored={found.id: found for found in arrivals.stored_rows(rows[4])},
            keys={
                (actor, use.key): use
                for actor, found in zip(keys, rows[7:], strict=True)
                for use in arrivals.first_use_rows(found)
            },
            held=blobs.held_sizes(rows[6]),
            tails=self._chance.token(ID_RANDOM_BYTES * len(items)),
            results=[None] * len(items),
        )

    def _known(self, group: _Group, offer: Offer) -> Accepted | int | None:
        """The answer that was given before, if it was; Conflict if a key comes back with something else."""
        draft = offer.draft
        if draft.id is not None:
            if draft.id in group.own_ids:
                return group.own_ids[draft.id]
            if draft.id in group.stored:
                return self._again(group.stored[draft.id])
        if draft.idempotency_key is None:
            return None
        at = (offer.sender, draft.idempotency_key)
        if at in group.own_keys:
            request, first = group.own_keys[at]
            _check_same(request, offer)
            return first
        use = group.keys.get(at)
        if use is None or use.expires < group.now:
            return None
        _check_same(use.body_hash, offer)
        if use.stored is None:  # pruned: its key should have gone with it, so this is a new use
            return None
        return self._again(use.stored)

    def _again(self, stored: arrivals.Stored) -> Accepted:
        return Accepted(stored.id, self._identity.key, stored.leaf, stored.clock, True, stored.file, stored.destination)

    def _admit(self, group: _Group, index: int, offer: Offer) -> None:
        """Raises why not; else it stands in a lot, with its header made."""
        self.door.check(offer)
        name = self._identity.name
        local = offer.to.node is None or offer.to.node == name
        destination = self._identity.key if local else self._peer(offer.to)
        self._check_parties(group, offer, local)
        check_attachments(offer, group.held)
        if local:
            self._check_inbox(group, offer)
        else:
            self._check_outbox(group, offer, destination)
        sealing = self._header(group, index, offer, destination=destination, local=local)
        group.lots.setdefault((destination, offer.lane), []).append(sealing)
        if local:
            group.waiting[offer.to.actor] = group.waiting.get(offer.to.actor, 0) + 1
        else:
            size = len(sealing.header_bytes) + len(offer.body_bytes)
            group.open.add(1, size)
            group.shares.setdefault(destination, _Share()).add(1, size)
        if offer.draft.id is not None:
            group.own_ids[offer.draft.id] = index
        if offer.draft.idempotency_key is not None:
            group.own_keys[offer.sender, offer.draft.idempotency_key] = (offer.request, index)

    def _peer(self, to: Address) -> bytes:
        assert to.node is not None
        key = self._mesh.key_of(to.node)
        if key is None:
            raise no_node(to, revoked=self._mesh.was_revoked(to.node))
        return key

    def _check_parties(self, group: _Group, offer: Offer, local: bool) -> None:
        """Both exist as far as this node can know, and the table lets them."""
        asked = (offer.via, offer.sender, offer.to, offer.draft.kind, offer.draft.in_reply_to)
        if asked not in group.verdicts:
            group.verdicts[asked] = self._verdict(group, offer, local)
        verdict = group.verdicts[asked]
        if verdict is not None:
            raise verdict

    def _verdict(self, group: _Group, offer: Offer, local: bool) -> NetskyError | None:
        name = self._identity.name
        here = {*group.actors, *VOICES, "agent0", *(("owner",) if name == ROOT else ())}
        if local and offer.to.actor not in here:
            return no_actor(offer.to.actor)
        if offer.via == "node":
            return None
        if offer.sender not in here:
            return no_actor(offer.sender, " that could send this")
        sender, recipient = Address(offer.sender, name), Address(offer.to.actor, offer.to.node or name)
        if kind_or_text(offer.draft.kind) not in SENDABLE:
            return not_allowed(f"No actor sends the kind {offer.draft.kind!r}: daemons alone write it.", offer.sender)
        relations = _relations(group, offer, name) if local or name == ROOT else frozenset()
        if ROOT not in {sender.node, recipient.node} and not local:
            return None  # siblings reach each other through the root, whose owner may have written a line for them
        sentence = refusal(sender, recipient, offer.draft.kind, relations)
        return None if sentence is None else not_allowed(sentence, offer.sender)

    def _check_inbox(self, group: _Group, offer: Offer) -> None:
        cap = self._config().inbox_envelopes_max
        waiting = group.waiting.get(offer.to.actor, 0)
        if waiting >= room.mark(cap, offer.lane, at_root=self._identity.name == ROOT):
            raise TryLater(
                f"{offer.to.actor} has {waiting} envelopes that it has not taken: its inbox is full.",
                next=f"netsky channel ls {offer.to.actor}, or send with --wait",
                code="inbox_full",
            )

    def _check_outbox(self, group: _Group, offer: Offer, destination: bytes) -> None:
        total, share = group.open, group.shares.get(destination, _Share())
        more = OUTBOX_REPLY_RESERVE if offer.lane == "reply" else 0  # no answer waits behind requests
        free = OUTBOX_ENVELOPES_MAX + more - total.envelopes
        more_bytes = OUTBOX_REPLY_RESERVE_BYTES if offer.lane == "reply" else 0
        free_bytes = OUTBOX_BYTES_MAX + more_bytes - total.bytes
        if free <= 0 or free_bytes <= 0:
            raise TryLater(
                f"{total.envelopes} envelopes to other nodes have no outcome yet: the outbox is full.",
                next="netsky status (is a link down?), then send it again or with --wait",
                code="outbox_full",
            )
        if share.envelopes < free + more and share.bytes < free_bytes + more_bytes:
            return
        if self._held(destination, str(offer.to), offer.lane):
            raise TryLater(
                f"{offer.to} takes no more for now, it is held at netsky0's word, and "
                f"{share.envelopes} envelopes to {offer.to.node} wait here.",
                next="send it with --wait, or later: netsky status shows the hold",
                code="dest_held",
            )
        raise TryLater(
            f"{share.envelopes} envelopes to {offer.to.node} have no outcome yet: its share of the outbox is used up.",
            next=f"netsky status (is {offer.to.node} or the link down?), then send it again or with --wait",
            code="dest_share_full",
        )

    def _header(self, group: _Group, index: int, offer: Offer, *, destination: bytes, local: bool) -> Sealing:
        draft = offer.draft
        clocks = [cause.clock for cause in group.causes if cause.id in (draft.in_reply_to, draft.parent)]
        clock, skewed = next_clock(self.door.clock, group.now, max(clocks, default=None))
        name = self._identity.name
        tail = group.tails[index * ID_RANDOM_BYTES : (index + 1) * ID_RANDOM_BYTES]
        header = Header(
            v=HEADER_VERSION,
            id=draft.id or f"{clock:016x}{tail.hex()}",
            origin=self._identity.key,
            sender=offer.sender if local else f"{offer.sender}@{name}",
            destination=destination,
            to=offer.to.actor if local else str(offer.to),
            kind=draft.kind,
            in_reply_to=draft.in_reply_to,
            thread=draft.thread,
            swarm=draft.swarm,
            idempotency_key=draft.idempotency_key,
            requires_ack=draft.requires_ack,
            ts=group.now,
            clock=clock,
            expires=group.now + offer.lasts_ns,
            parent=draft.parent,
        )
        header_bytes = encode_header(header)
        if len(offer.body_bytes) > ESCAPED_BODY_BYTES_SAFE:
            to_file(header, offer.body, Proof(header.origin, header.id, bytes(32)))
        self.door.clock = clock  # only now: what was refused has used no time
        return Sealing(index, offer, header, header_bytes, local, skewed)


def _asked(items: Sequence[Offer]) -> tuple[list[str], list[str], list[str], dict[str, list[str]]]:
    """Recipients, causes, given ids, and per sender the idempotency keys of a group."""
    recipients = sorted({item.to.actor for item in items})
    drafts = [item.draft for item in items]
    causes = sorted({cause for draft in drafts for cause in (draft.in_reply_to, draft.parent) if cause is not None})
    ids = [draft.id for draft in drafts if draft.id is not None]
    keys: dict[str, list[str]] = {}
    for item in items:
        if item.draft.idempotency_key is not None:
            keys.setdefault(item.sender, []).append(item.draft.idempotency_key)
    return recipients, causes, ids, keys


def _check_same(request: bytes, offer: Offer) -> None:
    if request != offer.request:
        raise Conflict(
            f"the idempotency key {offer.draft.idempotency_key!r} was used by {offer.sender} for another message",
            next="send it with a key of its own",
            code="idempotency_conflict",
        )


def _relations(group: _Group, offer: Offer, name: str) -> frozenset[Relation]:
    """An actor that names no manager has agent0. An envelope is answered by whom it was for, to whom it is from."""
    found: set[Relation] = set()
    wanted = (offer.draft.in_reply_to, whole(str(offer.to), name), f"{offer.sender}@{name}")
    if any((one.id, whole(one.sender, name), whole(one.recipient, name)) == wanted for one in group.causes):
        found.add("on_its_envelope")
    if offer.to.node not in {None, name}:
        return frozenset(found)
    recipient, sender = group.actors.get(offer.to.actor), group.actors.get(offer.sender)
    if recipient is not None and (recipient.manager or "agent0") == offer.sender:
        found.add("manages_recipient")
    if sender is not None and (sender.manager or "agent0") == offer.to.actor:
        found.add("managed_by_recipient")
    return frozenset(found)


def _resolved(results: list[Accepted | NetskyError | int | None], index: int) -> Accepted | NetskyError:
    result = results[index]
    if isinstance(result, int):
        first = results[result]
        assert isinstance(first, Accepted)
        return replace(first, duplicate=True)
    assert result is not None
    return result
