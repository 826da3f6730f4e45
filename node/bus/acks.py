"""Acknowledgements: the sender that asked for one hears from the node that the actor took its envelope.

The row that says *taken* is what is due, so nothing more has to be stored when it is; and the id of the answer follows
from the envelope's, so a second try makes no second answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.bus.telling import TOLD_MAX, Telling, tell_forever
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db import inbox
from netsky.node.db.group import GroupCommit
from netsky.node.db.inbox import AckDue
from netsky.node.errors import NetskyError, TryLater
from netsky.node.events import Signals
from netsky.node.seams import Seams
from netsky.relay.acks import TEXT, ack_id

PAUSE_NS = 50_000_000
"""Few envelopes ask: a busy node looks for those twenty times a second, not at each that is taken."""

Accept = Callable[[str, Via, Sequence[Draft]], Awaitable[list[Accepted | NetskyError]]]


class Acks:
    def __init__(self, group: GroupCommit, signals: Signals, accept: Accept, seams: Seams) -> None:
        self._group = group
        self._signals = signals
        self._accept = accept
        self._seams = seams

    async def run(self) -> None:
        telling = Telling(TAKEN_SIGNAL, self._find, self._tell, PAUSE_NS)
        await tell_forever(telling, self._signals, self._seams.time, self._seams.chance)

    async def _find(self, after: int) -> list[AckDue]:
        [found] = await self._group.write([inbox.acks_due(after, TOLD_MAX)])
        return inbox.ack_rows(found)

    async def _tell(self, due: Sequence[AckDue]) -> int:
        told = []
        for one in due:
            [answer] = await self._accept(one.actor, "node", [_draft(one)])
            if not isinstance(answer, TryLater):  # a sender that is no more is told by nobody
                told.append(one.seq)
        if told:
            await self._group.write([inbox.ack_told(told)])
        return len(told)


def _draft(due: AckDue) -> Draft:
    return Draft(
        to=due.sender,
        text=TEXT,
        kind="reply",
        in_reply_to=due.id,
        thread=due.thread,
        data={"ack": True, "taken_at": due.taken_at},
        id=ack_id(due.origin, due.id),
    )
