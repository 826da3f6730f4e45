"""What actors were seen to do in this life of the node and what no row of their inbox shows: sending, following their
channel, saying that they will be quiet. A look asks here, so that nothing has to be indexed for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.errors import NetskyError

ASKING = frozenset({"question", "brief", "ticket", "escalation"})
"""Kinds after which the sender may have nothing to do but wait."""


class Acts:
    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._asked: dict[str, str] = {}
        self._following: dict[str, int] = {}

    def count(self, actor: str) -> int:
        return self._count.get(actor, 0)

    def asked(self, actor: str) -> str | None:
        """The id of what it asked, if that is the last it sent."""
        return self._asked.get(actor)

    def follows(self, actor: str) -> bool:
        return self._following.get(actor, 0) > 0

    def did(self, actor: str) -> None:
        self._count[actor] = self._count.get(actor, 0) + 1

    def sent(self, actor: str, via: Via, drafts: Sequence[Draft], answers: Sequence[Accepted | NetskyError]) -> None:
        """What the operator sends in an actor's name is no sign of that actor, nor is what the node says for it."""
        if via not in {"actor", "outbox"}:
            return
        for draft, answer in zip(drafts, answers, strict=True):
            if not isinstance(answer, Accepted) or answer.duplicate:
                continue
            self.did(actor)
            if draft.kind in ASKING:
                self._asked[actor] = answer.id
            else:
                self._asked.pop(actor, None)

    @contextmanager
    def following(self, actor: str) -> Iterator[None]:
        self._following[actor] = self._following.get(actor, 0) + 1
        try:
            yield
        finally:
            self._following[actor] -= 1
            if not self._following[actor]:
                del self._following[actor]
