"""Words of other nodes that have arrived: who may say what, and what follows from it. Each is carried out once, in the
transaction that takes it off the list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netsky.envelope.wire import decode_body, decode_header
from netsky.node.bus import between
from netsky.node.bus.draft import Draft
from netsky.node.db import work_held, work_tickets
from netsky.node.db.work_held import Mail
from netsky.node.db.work_tickets import TicketRow
from netsky.node.work import posting
from netsky.node.work.book import Change
from netsky.node.work.fence import Fence
from netsky.node.work.limits import BATCH, LEASE_NS
from netsky.node.work.report import Report
from netsky.node.work.runtime import Job

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.work.office import Office


class Mailroom:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def round(self) -> bool:
        node = self._node
        [found] = await node.group.read([work_held.mail(BATCH)])
        letters = work_held.mail_rows(found)
        if not letters:
            return False
        read = [_read(one) for one in letters]
        work = node.work
        if work.office is not None and node.identity.root:
            async with work.office.lock:
                asks = await self._at_root(work.office, letters, read)
            for ask in asks:
                await work.asking.carry_out(*ask)
        else:
            await self._at_sibling(letters, read)
        return True

    # At netsky0.

    async def _at_root(
        self, office: Office, letters: list[Mail], read: list[tuple[str, dict[str, Any]]]
    ) -> list[tuple[Mail, str, dict[str, Any]]]:
        """All but the questions, which are given back."""
        node = self._node
        reported, beats, asks = [], [], []
        for letter, (schema, about) in zip(letters, read, strict=True):
            name = self._member(letter.origin)
            if name is None:
                self._refuse(letter, "no_member")
            elif schema == between.REPORT and (said := posting.read_reported(about)) is not None:
                reported.append((name, *said[:2], _with_its_patch(letter, said[2])))
            elif schema == between.BEAT and (beat := posting.read_beat(about)) is not None:
                office.rooms.heard(letter.origin, beat)
                beats.append((name, beat))
            elif schema == between.ASK:
                asks.append((letter, name, about))
            else:
                self._refuse(letter, "malformed")
        ids = {said[1] for said in reported} | {task_id for _, beat in beats for task_id, _ in beat.held}
        [found] = await node.group.read([work_tickets.by_ids(sorted(ids))])
        rows = {row.id: row for row in work_tickets.rows(found)}
        await office.hold_runs(rows.values())
        now = node.now()
        change = office.book.change(now)
        for name, task_id, fence, report in reported:
            office.report(change, rows.get(task_id), name, fence, report)
        drafts: list[Draft] = []
        for name, beat in beats:
            drafts += _beaten(change, rows, name, beat.held, now)
        asked = {letter.seq for letter, _, _ in asks}  # off the list once they are answered
        change.also.append(work_held.read([letter.seq for letter in letters if letter.seq not in asked]))
        await office.store(change)
        await office.tell(drafts)
        return asks

    # At a sibling.

    async def _at_sibling(self, letters: list[Mail], read: list[tuple[str, dict[str, Any]]]) -> None:
        node = self._node
        charter = node.identity.charter
        jobs: list[tuple[Job, str]] = []
        cancels: list[tuple[str, Fence]] = []
        for letter, (schema, about) in zip(letters, read, strict=True):
            if charter is None or letter.origin != charter.root_key:
                self._refuse(letter, "not_the_root")
            elif schema == between.TICKET and (job := posting.read_job(about)) is not None:
                jobs.append((job, letter.id))
            elif schema == between.CANCEL and (cancel := posting.read_cancel(about)) is not None:
                cancels.append(cancel)
            elif schema == between.WANT and node.work.tenant is not None:
                node.work.tenant.wanted()
            elif schema == between.ANSWER:
                node.work.asking.answered(about)
            else:
                self._refuse(letter, "malformed")
        seqs = [letter.seq for letter in letters]
        if node.work.tenant is None:
            await node.group.write([work_held.read(seqs)])
        else:
            await node.work.tenant.take(jobs, cancels, seqs)

    def _member(self, origin: bytes) -> str | None:
        roster, _ = self._node.membership.roster()
        member = None if roster is None else roster.member(origin)
        return None if member is None else member.name

    def _refuse(self, letter: Mail, code: str) -> None:
        node = self._node
        facts = {"origin": node.called(letter.origin), "sender": letter.sender, "id": letter.id, "code": code}
        node.log.event("work.refused", level="warn", **facts)
        node.events.publish("work_refused", **facts)


def _beaten(
    change: Change, rows: Mapping[str, TicketRow], name: str, held: tuple[tuple[str, str], ...], now: int
) -> list[Draft]:
    """What a node says it holds: its leases are renewed; what it has no lease for any more it is told to end."""
    good, drafts = [], []
    for task_id, fence in held:
        row = rows.get(task_id)
        row = None if row is None else change.row(row)
        if row is None or (row.node, row.fence) != (name, fence) or row.state not in {"offered", "leased"}:
            if row is None or row.fence != fence:  # its report under this fence may be on its way
                drafts.append(posting.cancel(task_id, fence, name))
            continue
        if row.state == "offered":
            change.move(row, "take", reason=row.reason, till=now + LEASE_NS)
        else:
            good.append((task_id, fence))
    if good:
        change.also.append(work_tickets.renew(good, name, now + LEASE_NS))
    return drafts


def _with_its_patch(letter: Mail, report: Report | str) -> Report | str:
    if isinstance(report, str) or not report.patch_id:
        return report
    attached = {one.sha256.hex() for one in decode_body(letter.body).attachments}
    return report if report.patch_id in attached else "patch_missing"


def _read(letter: Mail) -> tuple[str, dict[str, Any]]:
    header, body = decode_header(letter.header), decode_body(letter.body)
    schema = between.schema_of(header.kind, body.data)
    return schema, json.loads(body.data or b"{}")
