"""What links want stored, as one plan for each group commit. One planner for all links of a node.

So two links that bring the same envelope in one group are noticed, a connection that is over cannot move a mark that
the next one has read, and what ends a link for good sees everything that was queued for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netsky.envelope.fields import Attachment
from netsky.mesh.effects import (
    Acked,
    Answered,
    Arrived,
    Damaged,
    Enrolled,
    Froze,
    Numbered,
    Raised,
    Record,
    Restored,
    Stated,
)
from netsky.node.bus.ingress import Incoming, Ingressed, IngressPlanner
from netsky.node.bus.limits import OUTBOX_ENVELOPES_MAX
from netsky.node.bus.onward import Onward
from netsky.node.db import answers, blobs, flight, forward, links, outbox, restore, routes
from netsky.node.db.group import Plan
from netsky.node.errors import Conflict, NetskyError
from netsky.node.links.arriving import fates, packed_answers, part
from netsky.node.links.endings import Believed, Ended, apply, end_here
from netsky.node.links.group import OF_ITEMS, Group
from netsky.node.links.items import Cut, Item, Knows, Lost, Persist, Remember, Sweep, Told, damaged_frames, reads_of
from netsky.node.links.numbers import Marks, acknowledged, consumed, numbered
from netsky.node.links.overdue import forward_cut, forward_expired, own_over
from netsky.node.links.passing import Passing
from netsky.node.links.renewing import raised, renewed
from netsky.node.seams.ledger import NO_ROWS, Row, Statement
from netsky.node.seams.time import Time
from netsky.relay.holds import Queues
from netsky.relay.ingress import Border

SWEEP_ROWS = 256
"""Ended in one turn, so that no commit grows long."""


Heard = tuple[bytes, Incoming, Ingressed]
"""From which peer, what, and what became of it."""


class LinkPlanner:
    def __init__(
        self, knows: Knows, ingress: IngressPlanner, queues: Queues, time: Time, *, told: Told, onward: Onward
    ) -> None:
        self._knows = knows
        self._ingress = ingress
        self._queues = queues
        self._time = time
        self._told = told
        self._passing = Passing(onward)
        self._is_root = knows.me == knows.root

    def reads(self, items: Sequence[Item]) -> Sequence[Statement]:
        me = self._knows.me
        brought = [record for item in items if isinstance(item, Persist) for record in item.records]
        arrived = [record for record in brought if isinstance(record, Arrived)]
        local = [
            (arrival.header, arrival.body)
            for record in arrived
            for arrival in record.arrivals
            if arrival.header is not None and arrival.body is not None and arrival.header.destination == me
        ]
        answered = [outcome for record in brought if isinstance(record, Answered) for outcome in record.outcomes]
        ids = sorted({outcome.id for outcome in answered if outcome.origin == me})
        own = [self._own_reads(item) for item in items]
        stated = {one.node for record in brought if isinstance(record, Stated) for one in record.lineages}
        named = [one.sha256 for record in arrived for one in _attachments(record)]
        return [
            blobs.held(list(dict.fromkeys(named))),
            restore.lineages(sorted(stated)),
            forward.newest_seq() if self._is_root and arrived else NO_ROWS,
            *(one(*where) for where in damaged_frames(items) for one in (outbox.in_frame, forward.in_frame)),
            *(one for some in own for one in some),
            outbox.mine(me, ids),
            *self._ingress.asks(local),
        ]

    def _own_reads(self, item: Item) -> list[Statement]:
        """What one item needs; `reads_of` it."""
        match item:
            case Persist(peer=peer):
                return [links.marks(peer)]
            case Cut(peer=peer):
                return [
                    outbox.to_destinations([peer], OUTBOX_ENVELOPES_MAX),
                    *(forward.of_peer(peer, state, OUTBOX_ENVELOPES_MAX) for state in ("open", "sent")),
                ]
            case Remember():
                return []
            case Sweep(since=since, met=met):
                now = self._time.wall()
                gone = [member.key for member in self._knows.roster().members if member.revoked]
                return [
                    outbox.expired(now, SWEEP_ROWS, since, met),
                    outbox.to_destinations(gone[-SWEEP_ROWS:], SWEEP_ROWS),
                    forward.expired(now, SWEEP_ROWS),
                ]
            case Lost(blob=blob):
                return [outbox.naming(blob, OUTBOX_ENVELOPES_MAX), forward.naming(blob, OUTBOX_ENVELOPES_MAX)]

    def plan(self, items: Sequence[Item], rows: list[list[Row]]) -> Plan[None]:
        now = self._time.wall()
        border = None
        if self._is_root:
            border = Border(self._knows.roster(), self._knows.route_lines(), self._queues, now)
        group = Group(now, border, blobs.held_sizes(rows[0]))
        group.known = {one.node: one for one in restore.lineage_rows(rows[1])}
        spoilt = 3 + 2 * len(damaged_frames(items))
        self._damage(group, rows[3:spoilt])
        rest = self._items(group, items, rows[spoilt:])
        mine = {row.id: row for row in outbox.mine_rows(rest[0])}
        ended = apply(group.mine, mine, Believed(self._knows.me, self._knows.root), now)
        over = {seq: one for seq, one in group.swept.own.items() if seq not in {m.seq for m, _ in ended.fates}}
        ended += end_here([one for one, _ in over.values()], {s: c for s, (_, c) in over.items()}, self._knows.me, now)
        ingress = self._ingress.plan([guest for _, _, guests in group.here for guest in guests], rest[1:])
        heard = self._heard(group, ingress.results)
        group.ended += group.swept.fates
        group.statements += [
            *(*group.swept.statements, *group.swept.removals),
            *(*ended.statements, *ingress.statements, *self._answers(group)),
        ]
        given = self._passing.on(group, rows[2])
        if group.refused:
            group.statements.append(links.count_refused([(peer, code) for peer, code, _ in group.refused], now))

        def after() -> None:
            given.go()
            if ingress.after is not None:
                ingress.after()
            self._tell(group, ended, heard)

        def results(written: list[list[Row]]) -> list[NetskyError | None]:
            removals = {id(statement) for statement in (*group.removals, *group.swept.removals)}
            pairs = zip(group.statements, written, strict=True)
            self._removed([row for statement, found in pairs if id(statement) in removals for row in found])
            return group.errors

        return Plan(group.statements, after=after, undone=given.fail, results_of=results)

    def _items(self, group: Group, items: Sequence[Item], rows: list[list[Row]]) -> list[list[Row]]:
        """Each with its rows; those that are left. What ends by itself is looked at last, and sees who got numbers."""
        marks, own, at = Marks(), [], 0
        for item in items:
            count = reads_of(item)
            own.append(rows[at : at + count])
            at += count
            if isinstance(item, Persist):
                marks.load(item.peer, own[-1][0])
        for item in items:
            if isinstance(item, Persist):
                self._persist(group, item, marks)
            elif isinstance(item, Remember):
                self._renewed(group, self._knows.me, item.record, marks)
                group.errors.append(None)
            else:
                group.errors.append(None)
        given = {
            source: {
                seq
                for item in items
                if isinstance(item, Persist)
                for record in item.records
                if isinstance(record, Numbered) and record.source == source
                for seq in record.rows
            }
            for source in ("own", "forward")
        }
        for item, found in zip(items, own, strict=True):
            if isinstance(item, Cut):
                self._cut(group, item, found)
            elif isinstance(item, Sweep):
                self._sweep(group, found, given)
            elif isinstance(item, Lost):
                self._lost(group, item.blob, found, given)
        return rows[at:]

    def _damage(self, group: Group, found: list[list[Row]]) -> None:
        """What a peer cannot take was never stored there: dead, unless it was sent once before."""
        for own, passing in zip(found[::2], found[1::2], strict=True):
            for one in outbox.mine_rows(own):
                group.swept.own[one.seq] = (one._replace(was_numbered=int(one.put_back > 0)), "damaged")
            rows = forward.rows(passing)
            forward_cut(rows, self._knows.me, group.now, was_numbered=False, swept=group.swept, code="damaged")

    def _cut(self, group: Group, item: Cut, found: list[list[Row]]) -> None:
        swept = group.swept
        for one in outbox.mine_rows(found[0]):
            swept.own[one.seq] = (one, "dest_revoked")
        for rows, was_numbered in ((found[1], False), (found[2], True)):
            forward_cut(forward.rows(rows), self._knows.me, group.now, was_numbered=was_numbered, swept=swept)
        swept.statements += [flight.forget(item.peer), answers.forget(item.peer), *links.forget_peer(item.peer)]

    def _sweep(self, group: Group, found: list[list[Row]], given: Mapping[str, set[int]]) -> None:
        mine = [*outbox.mine_rows(found[0]), *outbox.mine_rows(found[1])]
        group.swept.own |= own_over(mine, self._knows.roster(), group.now, given["own"])
        forward_expired(forward.rows(found[2]), self._knows.me, group.now, given["forward"], group.swept)

    def _lost(self, group: Group, blob: bytes, found: list[list[Row]], given: Mapping[str, set[int]]) -> None:
        """What got its number in this very group has its blobs where it goes."""
        swept = group.swept
        swept.own |= {
            one.seq: (one, "attachment_lost") for one in outbox.mine_rows(found[0]) if one.seq not in given["own"]
        }
        rows = [row for row in forward.rows(found[1]) if row.seq not in given["forward"]]
        forward_cut(rows, self._knows.me, group.now, was_numbered=False, swept=swept, code="attachment_lost")
        swept.statements.append(blobs.lose(blob))

    # One item.

    def _persist(self, group: Group, item: Persist, marks: Marks) -> None:
        trial = Group(group.now, group.border, group.held, known=group.known)
        for record in item.records:
            if not self._record(trial, item.peer, record, marks):
                # A connection that is over has still written; the one that is loading now will see what it wrote.
                group.errors.append(
                    Conflict(
                        f"the link to {item.name} went on with another connection",
                        next="nothing: the newer connection goes on",
                        code="link_replaced",
                    )
                )
                return
        group.errors.append(None)
        for name in OF_ITEMS:
            getattr(group, name).extend(getattr(trial, name))

    def _record(self, group: Group, peer: bytes, record: Record, marks: Marks) -> bool:
        match record:
            case Numbered():
                if not marks.move(peer, "out", record.lane, life=record.life, first=record.first, last=record.last):
                    return False
                group.statements += numbered(peer, record, group.now)
            case Acked():
                if self._is_root:
                    removal = forward.acknowledged(peer, record.lane, record.life, record.number)
                    group.removals.append(removal)
                    group.statements.append(removal)
                group.statements += acknowledged(peer, record, group.now)
            case Froze():
                group.statements.append(links.freeze(peer, record.direction, record.lane, record.code))
            case Enrolled():
                group.statements.append(self._knows.keep_roster(record.sealed))
                group.rosters.append(record)
            case Damaged():
                pass  # its frame was read before; a life that it begins stands behind it
            case Raised() | Restored() | Stated():
                self._renewed(group, peer, record, marks)
            case Arrived():
                return self._arrived(group, peer, record, marks)
            case Answered():
                return self._answered(group, peer, record, marks)
        return True

    def _renewed(self, group: Group, peer: bytes, record: Raised | Restored | Stated, marks: Marks) -> None:
        match record:
            case Raised():
                marks.begin(peer, record.lane, record.life)
                group.statements += raised(peer, record, group.now)
            case Restored():
                marks.begin_all(record.life)
                group.statements += self._knows.event(record, group.now)
                group.restored.append(record)
            case Stated():
                new = [one for one in record.lineages if group.known.get(one.node) != one]
                for one in new:
                    group.statements += renewed(peer, one, group.known.get(one.node), self._knows.root, group.now)
                    group.known[one.node] = one
                group.lineages += new

    def _arrived(self, group: Group, peer: bytes, record: Arrived, marks: Marks) -> bool:
        made = consumed(peer, record, marks, group.now)
        if made is None:
            return False
        group.statements += made
        if record.route is not None:
            row = routes.RouteRow(
                record.route.reign, record.lane, record.life, record.claim_first, record.mark, record.claim, group.now
            )
            group.statements.append(routes.insert([row]))
        parted = part(record, peer, self._knows.me, group.border, group.now, held=group.held)
        if parted.refused:
            group.statements.append(links.refuse(parted.refused))
        if parted.here:
            group.here.append((peer, record, parted.here))
        group.forward += parted.forward
        group.ended += parted.ended
        group.passed += parted.passed
        group.refused += [(peer, one.code, f"number {one.number}") for one in parted.refused]
        group.refused += [(peer, one.code, one.id) for one in parted.ended]
        return True

    def _answered(self, group: Group, peer: bytes, record: Answered, marks: Marks) -> bool:
        made = consumed(peer, record, marks, group.now)
        if made is None:
            return False
        group.statements += made
        for outcome in record.outcomes:
            if outcome.origin == self._knows.me:
                group.mine.append((peer, outcome))
            elif not self._is_root:
                group.refused.append((peer, "outcome_not_ours", outcome.id))
            elif outcome.ender != peer:
                group.refused.append((peer, "outcome_not_its_own", outcome.id))  # it ends what another should end
            else:
                group.relayed.append(outcome._replace(via=peer))
        return True

    # The whole group.

    def _heard(
        self, group: Group, results: Sequence[Ingressed | NetskyError]
    ) -> list[tuple[bytes, Incoming, Ingressed]]:
        """What the bus decided, and with it the fates of this node's guests."""
        heard: list[Heard] = []
        at = 0
        for peer, record, guests in group.here:
            own = [result for result in results[at : at + len(guests)] if isinstance(result, Ingressed)]
            at += len(guests)
            group.ended += fates(record, guests, own, self._knows.me)
            heard += [(peer, guest, result) for guest, result in zip(guests, own, strict=True)]
        return heard

    def _answers(self, group: Group) -> list[Statement]:
        if not self._is_root:
            packed = packed_answers(group.ended, self._knows.root)
        else:
            members = {member.key: member.key for member in self._knows.roster().members if not member.revoked}
            packed = packed_answers([*group.ended, *group.relayed], members)
        group.answered = {peer for peer, _ in packed}
        return [answers.insert(packed, group.now)] if packed else []

    def _tell(self, group: Group, ended: Ended, heard: Sequence[Heard]) -> None:
        changed = False
        for new in group.forward:
            changed |= self._queues.change(new.peer, new.origin, new.envelopes, new.size)
        for peer, origin, envelopes, size in group.swept.shrunk:
            changed |= self._queues.change(peer, origin, -envelopes, -size)
        if group.lineages:
            self._told.lineages(group.lineages)
            self._told.holds()
        for restored in group.restored:
            self._told.restored(restored)
        for enrolled in group.rosters:
            self._told.enrolled(enrolled.roster, enrolled.sealed)
        for peer, item, result in heard:
            if result.conflict or (result.new and result.fate != "delivered"):
                self._told.arrived(peer, item, result)
        for peer, code, what in group.refused:
            self._told.refused(peer, code, what)
        if group.passed:
            self._told.passed(group.passed)
        if ended.fates or ended.disbelieved:
            self._told.ended(ended)
        self._told.queued(group.waiting, group.answered)
        if changed:
            self._told.holds()

    def _removed(self, gone: Sequence[Row]) -> None:
        """Forward rows that the next node has acknowledged."""
        changed = False
        for peer, origin, envelopes, size in gone:
            assert isinstance(peer, bytes)
            assert isinstance(origin, bytes)
            assert isinstance(envelopes, int)
            assert isinstance(size, int)
            changed |= self._queues.change(peer, origin, -envelopes, -size)
        if changed:
            self._told.holds()


def _attachments(record: Arrived) -> list[Attachment]:
    return [one for arrival in record.arrivals if arrival.body is not None for one in arrival.body.attachments]
