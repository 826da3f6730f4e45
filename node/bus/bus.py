"""The bus of one constellation: its pieces tied together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from netsky.envelope.file import parse_file_name
from netsky.envelope.kinds import Lane
from netsky.node.bus.accept import AcceptPlanner, Mesh
from netsky.node.bus.draft import Accepted, Draft, Offer, Via, prepare
from netsky.node.bus.folders import Channel, open_channel
from netsky.node.bus.ingress import IngressPlanner
from netsky.node.bus.intake import Intake
from netsky.node.bus.project import Projector, Store, Told
from netsky.node.bus.prune import prune_actor
from netsky.node.bus.recover import Recovered, recover
from netsky.node.bus.sealing import Fresh, Numbers, SignerIdentity
from netsky.node.bus.sweep import Sweep, actors_with_folders
from netsky.node.config import Config
from netsky.node.db import arrivals
from netsky.node.db.group import GroupCommit, Plan
from netsky.node.errors import Conflict, NetskyError, NotFound
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.ledger import Row, Statement
from netsky.node.seams.time import Time
from netsky.relay.authority import ROOT

Sent = Callable[[str, Via, Sequence[Draft], Sequence[Accepted | NetskyError]], None]


class Notify(Told, Protocol):
    """Who hears of what happens on the bus. None of it may wait or fail."""

    def outbox(self, going: Collection[tuple[bytes, Lane]]) -> None:
        """Something was stored that goes to these nodes next."""


class Bus:
    def __init__(
        self,
        *,
        channels: str,
        files: Files,
        time: Time,
        chance: Chance,
        identity: SignerIdentity,
        config: Callable[[], Config],
        group: GroupCommit,
        notify: Notify,
        mesh: Mesh,
        pid: int,
        held: Callable[[bytes, str, Lane], bool] = lambda *_: False,
    ) -> None:
        """`channels` is the folder of the channel folders; `held` as in the planner."""
        self.sent: Sent = lambda *_: None
        """Hears of each draft what became of it."""
        self._channels = channels
        self._files = files
        self._time = time
        self._config = config
        self._group = group
        self._notify = notify
        numbers = Numbers()
        self.projector = Projector(
            files=files, channels=channels, store=group.write, mark=group.write_unhurried, time=time, told=notify
        )
        self.planner = AcceptPlanner(
            identity=identity,
            config=config,
            time=time,
            chance=chance,
            mesh=mesh,
            accepted=self._accepted,
            numbers=numbers,
            pid=pid,
            held=held,
        )
        self.ingress = IngressPlanner(
            identity=identity,
            config=config,
            time=time,
            stored=self.projector.offer,
            numbers=numbers,
            pid=pid,
            is_root=identity.name == ROOT,
        )
        self._replays = _Replays(self._bring_back)
        self.sweep = Sweep(
            files=files,
            channels=channels,
            store=group.write,
            time=time,
            config=config,
            door=self.planner.door,
            intake=Intake(files=files, time=time, accept=self.accept),
            projector=self.projector,
            told=notify,
        )

    async def accept(self, sender: str, via: Via, drafts: Sequence[Draft]) -> list[Accepted | NetskyError]:
        """One answer for each draft, in their order; returns when those accepted are stored for good."""
        answers: list[Accepted | NetskyError | None] = []
        offers: list[Offer] = []
        for draft in drafts:
            try:
                offers.append(prepare(sender, via, draft))
                answers.append(None)
            except NetskyError as refused:
                answers.append(refused)
        stored = iter(await self._group.submit_many(self.planner, offers))
        results = [next(stored) if answer is None else answer for answer in answers]
        self.sent(sender, via, drafts, results)
        return results

    def _accepted(self, fresh: list[Fresh], outgoing: Collection[tuple[bytes, Lane]]) -> None:
        self.projector.offer(fresh)
        self._notify.outbox(outgoing)

    async def recover(self, store: Store, *, after_crash: bool, restored: bool = False) -> Recovered:
        """Once, before any task runs or any drain is let in. `store` is the ledger's own `transaction`."""
        found = await recover(
            files=self._files,
            channels=self._channels,
            store=store,
            time=self._time,
            door=self.planner.door,
            projector=self.projector,
            told=self._notify,
            after_crash=after_crash,
            restored=restored,
        )
        self.sweep.look_at_disk()
        return found

    async def run_sweep(self) -> None:
        await self.sweep.run()

    def acked(self, actor: str) -> None:
        """Rows of this actor were taken by word alone: the next sweep moves their files, if nobody else does."""
        self.sweep.look_again(actor)

    async def forward_outbox(self, actor: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Takes an actor's outbox files in now. What was accepted, and what was refused."""
        taken = await self.sweep.intake_of(actor)
        accepted = [{"id": one.id, "file": one.file, "duplicate": one.duplicate} for one in taken.accepted]
        refused = [{"file": ascii(one.file)[1:-1], "code": one.code, "message": one.sentence} for one in taken.refused]
        return accepted, refused

    async def replay(self, actor: str, said: str) -> str:
        """Puts one envelope, named by id or file, back into its inbox; it is shown again. Returns its file name.

        The row first: it is `committed` again, then its file goes back, or is written anew by the projector.
        """
        asked = arrivals.places_of_files if parse_file_name(said) is not None else arrivals.places_of_ids
        [found] = await self._group.write([asked(actor, [said])])
        places = arrivals.place_rows(found)
        if not places:
            raise NotFound(f"{actor} never had an envelope {said}", next="netsky trace ID", code="unknown_envelope")
        place = places[0]
        with self.channel(actor) as channel:
            if place.state != "taken" and channel.where(place.file) not in {None, "quarantine"}:
                raise Conflict(
                    f"{said} was not taken yet: it waits for {actor}",
                    next=f"netsky channel drain {actor}",
                    code="not_taken",
                )
        changed = await self._group.submit(self._replays, _Replay(actor, place))
        if not changed:
            raise NotFound(
                f"the content of {said} is no longer kept", next="netsky trace ID shows what is known", code="pruned"
            )
        self._notify.event("replayed", actor=actor, id=place.id, file=place.file)
        self.projector.reload()
        return place.file

    def _bring_back(self, replay: _Replay) -> None:
        """At once after the commit, so that nobody sees the row waiting and its file archived."""
        with contextlib.suppress(OSError, HostileFile), self.channel(replay.actor) as channel:
            for folder in (*channel.archived(), channel.quarantine):
                if self._files.move(folder, replay.place.file, channel.inbox, replay.place.file):
                    return

    async def prune(self) -> None:
        """Archives by age and size, quarantine by number; in turns so short that nobody waits behind them."""
        for actor in actors_with_folders(self._files, self._channels):
            try:
                while await prune_actor(
                    actor,
                    files=self._files,
                    channels=self._channels,
                    store=self._group.write,
                    now=self._time.wall(),
                    config=self._config,
                ):
                    pass
            except (OSError, HostileFile) as error:
                self._notify.event("folder_unusable", actor=actor, sentence=str(error))

    def channel(self, actor: str) -> Channel:
        """The actor's folders, made if they are not there. Close it."""
        return open_channel(self._files, self._channels, actor)


@dataclass(frozen=True, slots=True)
class _Replay:
    actor: str
    place: arrivals.Place


class _Replays:
    """Rows become `committed` again, and their files follow in the same breath. The result: whether there was one."""

    def __init__(self, bring_back: Callable[[_Replay], None]) -> None:
        self._bring_back = bring_back

    def reads(self, items: Sequence[_Replay]) -> Sequence[Statement]:  # noqa: ARG002 - part of the protocol
        return ()

    def plan(self, items: Sequence[_Replay], rows: list[list[Row]]) -> Plan[bool]:  # noqa: ARG002
        def after() -> None:
            for item in items:
                self._bring_back(item)

        statements = [arrivals.put_back(item.place.seq) for item in items]
        return Plan(statements, after=after, results_of=lambda written: [bool(changed) for changed in written])
