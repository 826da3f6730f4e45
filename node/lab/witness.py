"""A node's own lines of the history: what its links have stored, written down around their store.

    Surroundings(pid, watch=watch_into("/run/histories", pid))      a daemon; as shipped, NETSKY_HISTORY=/run/histories

What came in is noted before it is stored, everything else once it is durable; a node that dies in between has not said
it. What is left out here is for others to see: clients and actors say what they sent and took, and whoever looks into
the databases at the end says what was delivered and what died.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from netsky.envelope.batch import encode_batch
from netsky.envelope.kinds import Lane
from netsky.mesh.driver import Driver
from netsky.mesh.effects import (
    Acked,
    Alarm,
    Answered,
    Arrival,
    Arrived,
    Close,
    Effects,
    Holds,
    Notice,
    Numbered,
    Raised,
    Record,
)
from netsky.mesh.ends import LinkState
from netsky.mesh.limits import ON_THE_WAY_MAX
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.outcome import Outcome
from netsky.mesh.roster import Member, Roster
from netsky.node.identity import Identity
from netsky.node.lab.history import Appended, Writer
from netsky.node.links.store import MakeStore, PeerStore
from netsky.node.seams.time import Time

if TYPE_CHECKING:
    from netsky.node.daemon.node import Watch


def watch_into(folder: str, boot: int) -> Watch:
    """The lines of a node go to `node-NAME.history` there, life after life."""

    def watch(identity: Identity, time: Time) -> MakeStore:
        write = Appended(os.path.join(folder, f"node-{identity.name}.history"))
        return stores_of(identity, Writer(write, time.wall, node=identity.name, by="node", boot=boot))

    return watch


def stores_of(identity: Identity, said: Writer) -> MakeStore:
    return partial(WitnessedStore, Witness(identity, said))


class Witness:
    """What one life of a node says of itself."""

    def __init__(self, identity: Identity, said: Writer) -> None:
        assert identity.charter is not None, "without a mesh there is nothing to be seen"
        self.said = said
        self.name = identity.name
        self._proofs = 0
        self._roster: Roster | None = None
        said.note("start", key=identity.key.hex())
        said.note("trust_set", key=identity.charter.root_key.hex(), reason="root", epoch=identity.charter.reign)

    def trusts(self, roster: Roster | None) -> None:
        """By which roster the frames of this turn were judged."""
        if roster is None or roster is self._roster:
            return
        before = set() if self._roster is None else {_standing(one) for one in self._roster.members}
        self._roster = roster
        now = [_standing(one) for one in roster.members]
        self.said.note_all(
            "trust_set", [{"key": key, "reason": reason} for key, reason in now if (key, reason) not in before]
        )

    def proofs(self, record: Arrived) -> dict[str, str]:
        """The bytes that a frame brought, and what they are called."""
        self._proofs += 1
        named = {"seal": encode_batch(record.batch)}
        if record.route is not None:
            named["route"] = record.claim
        called = {what: f"{what} {self._proofs} of {self.name}/{self.said.boot}" for what in named}
        self.said.note_all("proof", [{"key": called[what], "value": data.hex()} for what, data in named.items()])
        return called


class WitnessedStore(PeerStore):
    """The store of one peer, with somebody beside it who writes."""

    def __init__(self, witness: Witness, *args: Any) -> None:
        super().__init__(*args)
        self._witness = witness
        self._held: Collection[object] = ()
        self._granted: dict[Lane, tuple[int, int]] = {}
        self._acked: dict[Lane, int] = {}

    async def load(self) -> LinkState:
        state = await super().load()
        self._acked = {lane: one.acked for lane, one in state.outgoing.items()}
        self._witness.said.note_all(
            "start", [{**self._in(lane, one.life), "n": one.mark} for lane, one in state.incoming.items()]
        )
        return state

    async def persist(self, records: Sequence[Record]) -> None:
        self._witness.trusts(self.roster()[0])
        for record in records:
            if isinstance(record, Arrived | Answered):
                where = self._in(record.lane, record.life)
                count = len(record.arrivals) if isinstance(record, Arrived) else len(record.outcomes)
                self._witness.said.note_all("link_rx", [{**where, "n": record.first + at} for at in range(count)])
        await super().persist(records)
        for record in records:
            self._stored(record)

    async def offers(self, lane: Lane, wanted: Wanted) -> Sequence[Offer]:
        if wanted.first is not None:
            self._rarely("sent_again", **self._out(lane, wanted.life), n=wanted.first)
        return await super().offers(lane, wanted)

    def window(self, lane: Lane) -> tuple[int, int]:
        granted = super().window(lane)
        if granted == (0, 0) != self._granted.get(lane, granted):
            self._rarely("credit_withdrawn", link=self._to_us, ln=lane)
        self._granted[lane] = granted
        return granted

    def tell(self, notice: Notice) -> None:
        super().tell(notice)
        if isinstance(notice, Alarm):
            self._rarely("frozen", link=self._to_us, ln=notice.lane, reason=notice.code)
        elif isinstance(notice, Holds):
            if notice.held - set(self._held):
                self._rarely("hold_begun", link=self._to_us)
            if set(self._held) - notice.held:
                self._rarely("hold_over", link=self._to_us)
            self._held = notice.held

    @contextmanager
    def driven(self, driver: Driver) -> Iterator[None]:
        """Numbers that are stored with what they number do not come by `persist`; and how it ended is noted."""

        def go(effects: Effects) -> None:
            for record in effects.persist:
                self._stored(record)
            Driver.go(driver, effects)

        connection = self._slot.newest

        async def live() -> Close:
            try:
                why = await Driver.run(driver)
            except Exception:
                self._ended("store")
                raise
            except BaseException:
                if self._slot.newest != connection and self._is_revoked:  # else its node ends, or a newer one began
                    self._ended("revoked")
                raise
            self._ended(why.code)
            return why

        driver.go, driver.run = go, live  # type: ignore[method-assign]
        try:
            with super().driven(driver):
                yield
        finally:
            del driver.go, driver.run

    @property
    def _is_revoked(self) -> bool:
        roster, _ = self.roster()
        member = None if roster is None else roster.by_key.get(self._peer)
        return member is not None and bool(member.revoked)

    def _ended(self, code: str) -> None:
        link = self._slot.link
        forgetful = {"behind", "peer_rolled_back"}
        if link is not None and forgetful & {*link.frozen().values()}:
            self._rarely("rolled_back", link=self._to_us)
        self._rarely("link_down", link=self._to_us, reason=code)

    def _stored(self, record: Record) -> None:
        """What freezes, begins anew or was enrolled shows in what it does to the numbers and to the roster."""
        note_all = self._witness.said.note_all
        match record:
            case Raised():
                self._acked[record.lane] = 0
                note_all("epoch_bump", [{**self._out(record.lane, record.life), "reason": record.reason}])
            case Numbered():
                where = self._out(record.lane, record.life)
                leaves = enumerate(record.leaves, record.first)
                note_all("link_tx", [{**where, "n": number, "hash": leaf.hex()} for number, leaf in leaves])
                granted = self._slot.link.credit(record.lane)[0] if self._slot.link is not None else record.last + 1
                if record.last >= min(granted, self._acked.get(where["ln"], 0) + ON_THE_WAY_MAX):
                    self._rarely("credit_used_up", **where, n=record.last)
            case Acked():
                self._acked[record.lane] = record.number
                note_all("link_ack_rx", [{**self._out(record.lane, record.life), "n": record.number}])
            case Arrived():
                self._arrived(record)
            case Answered():
                where = self._in(record.lane, record.life)
                note_all(
                    "outcome",
                    [
                        {**where, "n": number, "id": one.id, "origin": one.origin.hex(), "reason": _fate(one)}
                        for number, one in enumerate(record.outcomes, record.first)
                    ],
                )

    def _arrived(self, record: Arrived) -> None:
        """In the order of their numbers: those that follow each other with the same end are one write."""
        where, proofs = self._in(record.lane, record.life), self._witness.proofs(record)
        for ev, some in groupby(record.arrivals, key=lambda one: "refuse" if _refusal(one) else "accept"):
            said = []
            for one in some:
                which = {**where, "n": one.number, "hash": one.leaf.hex()}
                if one.header is None or ev == "refuse":
                    said.append({**which, "reason": _refusal(one)})
                else:
                    which |= {"id": one.header.id, "origin": one.header.origin.hex()}
                    said.append({**which, "value": {**proofs, "expires": one.header.expires}})
            self._witness.said.note_all(ev, said)

    @property
    def _to_us(self) -> str:
        return f"{self._name}>{self._witness.name}"

    def _rarely(self, what: str, **fields: Any) -> None:
        self._witness.said.note("notice", key=what, **fields)

    def _in(self, lane: str, life: int) -> dict[str, Any]:
        return {"link": self._to_us, "ln": lane, "epoch": life}

    def _out(self, lane: str, life: int) -> dict[str, Any]:
        return {"link": f"{self._witness.name}>{self._name}", "ln": lane, "epoch": life}


def _standing(member: Member) -> tuple[str, str]:
    return (member.key.hex(), "revoked" if member.revoked else "enrolled")


def _refusal(arrival: Arrival) -> str | None:
    return arrival.refusal or (None if arrival.header is not None else "damaged")


def _fate(outcome: Outcome) -> str:
    return f"{outcome.fate}({outcome.code})" if outcome.code else outcome.fate
