"""The root's pen: it invites, answers those who ask, enrols and revokes. One decision at a time, each one transaction.

A decision reads, seals the next roster if there is one, commits, and only then is adopted and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import trio
from netsky.envelope.invalid import Invalid
from netsky.envelope.strict25519 import public_key_invalid
from netsky.mesh.join import Question, proves
from netsky.mesh.limits import CAPABILITIES_MAX, ROSTER_MEMBERS_MAX
from netsky.mesh.roster import Member, Roster, capability_invalid, label_invalid, open_roster, seal_roster
from netsky.mesh.ticket import SECRET_BYTES, Ticket, ticket_text
from netsky.mesh.transport import PeerAddress
from netsky.node.daemon.told import JOINS_SIGNAL
from netsky.node.db import invites
from netsky.node.db.invites import Asker, InviteRow
from netsky.node.errors import Conflict, NetskyError, NotFound, TryLater, Usage
from netsky.node.identity import fingerprint
from netsky.node.membership.limits import INVITE_NS, INVITES_MAX, PENDING_NS
from netsky.node.membership.membership import address_texts
from netsky.node.membership.rosters import (
    DEPUTY,
    Fork,
    label_free,
    next_name,
    united,
    with_deputy,
    with_member,
    without,
)

if TYPE_CHECKING:
    from netsky.node.membership.membership import Membership
    from netsky.node.seams.ledger import Statement


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a question is answered with."""

    state: Literal["enrolled", "pending", "refused"]
    name: str = ""
    code: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Invited:
    ticket: str
    ends: int
    replaced: bool
    """An open invite of this label was withdrawn for it."""


class Register:
    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._parts = membership.parts
        self._turn = trio.Lock()
        self._alive: list[InviteRow] = []

    # What is so now.

    def door_open(self) -> bool:
        now = self._parts.seams.time.wall()
        return any(row.ends > now for row in self._alive)

    def open_invites(self) -> list[InviteRow]:
        now = self._parts.seams.time.wall()
        return [row for row in self._alive if row.state == "open" and row.ends > now]

    def pending(self) -> list[InviteRow]:
        now = self._parts.seams.time.wall()
        return [row for row in self._alive if row.state == "pending" and row.ends > now]

    def is_pending(self, key: bytes) -> bool:
        return any(row.key == key for row in self.pending())

    async def load(self) -> None:
        now = self._parts.seams.time.wall()
        self._alive = invites.rows((await self._parts.ledger.transaction([invites.end(now), invites.alive()]))[-1])

    def burned(self) -> None:
        """`invites.burn_open` was committed."""
        self._alive = []

    # What a person decides.

    async def invite(
        self, label: str, capabilities: Sequence[str], *, hold: bool, address: PeerAddress | None
    ) -> Invited:
        wrong = label_invalid(label) or next((w for word in capabilities if (w := capability_invalid(word))), None)
        if wrong is not None:
            raise Usage(wrong, next="netsky invite studio-mac --capability gpu", code="bad_argument")
        if DEPUTY in capabilities:
            raise Usage(
                "the deputy is named once the machine is a member",
                next=f"netsky invite {label}, then: netsky deputy {label}",
                code="bad_argument",
            )
        if len(capabilities) > CAPABILITIES_MAX:
            raise Usage(f"at most {CAPABILITIES_MAX} capabilities are taken", next="netsky invite -h")
        addresses = address_texts(address)
        if not addresses:
            raise Conflict(
                "this node listens nowhere, so nobody could reach it to join",
                next=f'set bind = "0.0.0.0:4433" under [link] in {self._parts.home.config}, then: netsky restart',
                code="not_listening",
            )
        async with self._turn:
            now = self._parts.seams.time.wall()
            older = self._older_invite(label)
            ticket = self._ticket(addresses, now)
            statements = [
                invites.withdraw([row.id for row in older], now),
                invites.add(ticket.invite, ticket.secret, label, capabilities, hold=hold, at=now, ends=ticket.ends),
            ]
            await self._commit(statements)
        return Invited(ticket_text(ticket), ticket.ends, bool(older))

    def _older_invite(self, label: str) -> list[InviteRow]:
        """Open ones of this label, which the new one replaces. Raises what stands in its way."""
        roster = self._roster()
        if not label_free(roster, label):
            member = next(one for one in roster.members if one.label == label and not one.revoked)
            raise Conflict(
                f"{member.name} is called {label} already",
                next="choose another label; a machine that is a member joins again with any ticket of this mesh",
                code="label_taken",
            )
        if any(row.label == label for row in self.pending()):
            raise Conflict(
                f"a machine waits to join as {label}",
                next=f"netsky approve {label}, or netsky approve {label} --refuse",
                code="join_pending",
            )
        older = [row for row in self.open_invites() if row.label == label]
        if len(self._alive) - len(older) >= INVITES_MAX:
            raise TryLater(f"{INVITES_MAX} invites are open already", next="netsky nodes; they end by themselves")
        if len(roster.members) >= ROSTER_MEMBERS_MAX:
            raise Conflict(f"the roster has its {ROSTER_MEMBERS_MAX} members", next="netsky nodes", code="mesh_full")
        return older

    def _ticket(self, addresses: tuple[str, ...], now: int) -> Ticket:
        charter = self._parts.identity.charter
        assert charter is not None
        return Ticket(
            mesh=charter.mesh,
            owner_key=charter.owner_key,
            charter_hash=self._membership.charter_hash,
            root_key=charter.root_key,
            addresses=tuple(one for one in addresses if "://" not in one),
            relay=next((one for one in addresses if "://" in one), ""),
            secret=self._parts.seams.chance.token(SECRET_BYTES),
            ends=now + INVITE_NS,
        )

    async def approve(self, said: str, *, refuse: bool) -> InviteRow:
        """Decides about the join that waits under this label, name or fingerprint."""
        async with self._turn:
            found = [row for row in self.pending() if said in {row.label, row.name, fingerprint(row.key or b"")}]
            if len(found) != 1:
                raise NotFound(
                    f"no join waits as {said[:64]!r}", next="netsky nodes shows those that wait", code="not_pending"
                )
            [row] = found
            assert row.key is not None
            assert row.name is not None
            now = self._parts.seams.time.wall()
            if refuse:
                await self._commit([invites.decide(row.id, "refused", row.name, now)])
                self._told("join_refused", row.key, name=row.name, label=row.label, code="refused")
            else:
                name = self._name_for(row, self._roster())
                roster = with_member(self._roster(), Member(row.key, name, row.label, row.capabilities, now), now)
                await self._commit([invites.decide(row.id, "enrolled", name, now)], roster)
                self._told("joined", row.key, name=name, label=row.label)
                row = replace(row, name=name)
            return row

    async def revoke(self, said: str) -> tuple[Member, bool]:
        """By name or label. False if it was revoked before."""
        async with self._turn:
            roster = self._roster()
            member = roster.by_name.get(said) or next(
                (one for one in roster.members if one.label == said and not one.revoked), None
            )
            if member is None:
                raise NotFound(f"no member is called {said[:64]!r}", next="netsky nodes", code="unknown_node")
            if member.key == roster.root_key:
                raise Conflict(
                    "the root cannot revoke itself: the owner key names another root",
                    next="netsky help trust",
                    code="is_root",
                )
            if member.revoked:
                return member, False
            await self._commit([], without(roster, member.key, self._parts.seams.time.wall()))
            self._told("revoked", member.key, name=member.name, label=member.label)
            self._membership.on_revoked(member.key)
            return self._roster().by_key[member.key], True

    async def deputy(self, said: str | None) -> bool:
        """By name or label; None for no deputy. Whether anything changed."""
        async with self._turn:
            roster, member = self._roster(), None
            if said is not None:
                member = self._alive_member(said)
                if member.key == roster.root_key:
                    raise Conflict(
                        "the deputy speaks when the root is silent, and that one is the root",
                        next="netsky nodes",
                        code="is_root",
                    )
                if DEPUTY not in member.capabilities and len(member.capabilities) >= CAPABILITIES_MAX:
                    raise Conflict(f"{member.name} has {CAPABILITIES_MAX} capabilities, the most", next="netsky nodes")
            changed = with_deputy(roster, None if member is None else member.key, self._parts.seams.time.wall())
            await self._commit([], changed)
            if changed is roster:
                return False
            self._told("deputy", changed.root_key if member is None else member.key, name=member.name if member else "")
            return True

    def _alive_member(self, said: str) -> Member:
        found = [one for one in self._roster().members if said in {one.name, one.label} and not one.revoked]
        if not found:
            raise NotFound(f"no member is called {said[:64]!r}", next="netsky nodes", code="unknown_node")
        return found[0]

    # What a machine asks.

    async def judge(self, question: Question, program: str) -> Verdict:
        key = question.transcript.joiner
        async with self._turn:
            now = self._parts.seams.time.wall()
            known = self._roster().by_key.get(key)
            if known is not None and known.revoked:
                return _refused(
                    "revoked",
                    f"This node was revoked as {known.name}, and that cannot be undone.",
                )
            [found] = await self._parts.ledger.transaction([invites.by_hash(question.invite)])
            row = next(iter(invites.rows(found)), None)
            wrong = self._ticket_wrong(row, question, now)
            if known is None and wrong is not None:
                return wrong
            return await self._admit(question, program, row if wrong is None else None, now)

    def _ticket_wrong(self, row: InviteRow | None, question: Question, now: int) -> Verdict | None:
        if row is None:
            return _refused("ticket_unknown", "This root made no such ticket, or no longer knows it.")
        if row.key is not None and row.key != question.transcript.joiner:
            return _refused("ticket_used", "This ticket was used by another machine: one ticket, one machine.")
        if row.state == "refused":
            return _refused("refused", f"The root's operator refused this machine as {row.label}.")
        if row.state == "withdrawn":
            return _refused("ticket_withdrawn", "This ticket was withdrawn, perhaps by a newer one.")
        if row.state == "ended" or row.ends <= now:
            return _refused("ticket_ended", "This ticket's time is over by the root's clock.")
        if row.key is None and (row.secret is None or not proves(question.mac, row.secret, question.transcript)):
            return _refused("ticket_wrong", "The ticket's secret is not the one of its invite.")
        return None

    async def _admit(self, question: Question, program: str, row: InviteRow | None, now: int) -> Verdict:
        """`row` is its invite, if the ticket is good; without one it is a member already."""
        key, roster = question.transcript.joiner, self._roster()
        if question.shown:
            try:
                roster = united(roster, open_roster(question.shown, roster.root_key, roster.mesh), now)
            except Invalid as invalid:
                return _refused("roster", f"The roster of this home cannot be used: {invalid.sentence}")
            except Fork as fork:
                self._parts.log.event("roster.fork", level="warn", name=str(fork), key=fingerprint(key))
                return _refused(
                    "roster_fork",
                    f"This home's roster and the root's give {fork} to different keys: the root was restored from a "
                    "backup.",
                )
        words = " ".join(question.transcript.words())
        asker = Asker(key, words, program, now)
        known = roster.by_key.get(key)
        if known is not None and known.revoked:
            await self._commit([], roster)
            return _refused("revoked", f"This node was revoked as {known.name}, and that cannot be undone.")
        if known is None:
            assert row is not None, "judged before"
            wrong = public_key_invalid(key)
            if wrong is not None:
                return _refused("key", wrong)
            name = self._name_for(row, roster)
            if row.hold:
                ends = row.ends if row.state == "pending" else now + PENDING_NS
                await self._commit([invites.use(row.id, "pending", asker, name, ends)], roster)
                if row.state != "pending":
                    self._told("join_pending", key, name=name, label=row.label, words=words)
                return Verdict("pending", name)
            roster = with_member(roster, Member(key, name, row.label, row.capabilities, now), now)
            known = roster.by_key[key]
        ticket = [] if row is None else [invites.use(row.id, "enrolled", asker, known.name, row.ends)]
        is_new = self._roster().by_key.get(key) is None
        await self._commit(ticket, roster)
        if is_new or row is None or row.state == "open":
            self._told("joined" if is_new else "joined_again", key, name=known.name, label=known.label)
        return Verdict("enrolled", known.name)

    # How it comes into force.

    def _name_for(self, row: InviteRow, roster: Roster) -> str:
        """The one that was promised, unless another roster was united with ours since."""
        if row.name is not None and row.name not in roster.by_name:
            return row.name
        return next_name(roster, (one.name for one in self.pending() if one.name))

    def _roster(self) -> Roster:
        roster, _ = self._membership.roster()
        assert roster is not None, "a root has a roster"
        return roster

    async def _commit(self, statements: Sequence[Statement], roster: Roster | None = None) -> None:
        """One transaction, then what follows from it, which no cancellation may come between."""
        changes = list(statements)
        sealed = b""
        if roster is not None and roster is not self._roster():
            try:
                sealed = seal_roster(roster, self._parts.identity.sign)
            except Invalid as invalid:
                raise Conflict(invalid.sentence, next="netsky nodes", code="mesh_full") from None
            changes.append(self._membership.store(sealed))
        if not changes:
            return
        now = self._parts.seams.time.wall()
        with trio.CancelScope(shield=True):
            answers = await self._parts.group.write([*changes, invites.end(now), invites.alive()])
        self._alive = invites.rows(answers[-1])
        if sealed and roster is not None:
            self._membership.adopt(roster, sealed)
        self._parts.signals.ring(JOINS_SIGNAL)

    def _told(self, kind: str, key: bytes, **fields: str) -> None:
        self._parts.log.event(f"membership.{kind}", key=fingerprint(key), **fields)
        self._parts.events.publish(kind, key=fingerprint(key), **fields)


def _refused(code: str, sentence: str) -> Verdict:
    return Verdict("refused", code=code, sentence=sentence)


def later(error: NetskyError) -> Verdict:
    """For a root that cannot store anything at the moment."""
    return _refused(error.code, f"The root cannot answer now: {error.message}")
