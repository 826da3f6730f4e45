"""The bus of one constellation: the pieces tied together, and the words that the verbs use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from netsky.node.bus.accept import AcceptPlanner
from netsky.node.bus.draft import Accepted, Draft, Offer, Via, prepare
from netsky.node.bus.project import Projector, Told
from netsky.node.bus.sealing import Fresh, SignerIdentity
from netsky.node.config import Config
from netsky.node.db.group import GroupCommit
from netsky.node.errors import NetskyError
from netsky.node.seams.chance import Chance
from netsky.node.seams.files import Files
from netsky.node.seams.time import Time


class Notify(Told):
    def outbox(self) -> None:
        """Something for another node was stored."""


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
        peers: Callable[[str], bytes | None],
    ) -> None:
        self._group = group
        self._notify = notify
        self.projector = Projector(files=files, channels=channels, group=group, time=time, told=notify)
        self.planner = AcceptPlanner(
            identity=identity,
            config=config,
            time=time,
            chance=chance,
            peers=peers,
            accepted=self._accepted,
            pid=os.getpid(),
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
        return [next(stored) if answer is None else answer for answer in answers]

    def _accepted(self, fresh: list[Fresh], outgoing: bool) -> None:
        self.projector.offer(fresh)
        if outgoing:
            self._notify.outbox()
