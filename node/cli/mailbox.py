"""A drain that outlives its node: with the node it asks, without it it reads on, and it finds the node again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from netsky.node.bus.drain import Drain, Drained, PutAway
from netsky.node.cli.dial import Dialer
from netsky.node.errors import NotFound, Unreachable
from netsky.node.seams.real_files import RealFiles


class NodeLink:
    """What a drain asks of the node."""

    def __init__(self, node: Dialer, actor: str) -> None:
        self.node = node
        self._actor = actor
        self.why_kept = ""
        """Why the node did not hand out all that waits, as it said it last."""

    def claim(self, names: Sequence[str]) -> Mapping[str, str]:
        answer = self.node.call("claim", actor=self._actor, files=list(names))
        self.why_kept = answer.get("kept", self.why_kept)
        states: dict[str, str] = answer["files"]
        return states

    def ack(self, names: Sequence[str]) -> object:
        return self.node.call("ack", actor=self._actor, ids=list(names))


class Mailbox:
    """An actor's messages, claimed one after another and taken by name."""

    def __init__(self, node: Dialer, actor: str) -> None:
        self.actor = actor
        self.put_away: list[PutAway] = []
        self.node = node
        self._folder = folder_of(node, actor)
        self._drain: Drain | None = None
        self._link: NodeLink | None = None
        self._asks_node = False

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def asks_node(self) -> bool:
        return self._asks_node

    @property
    def kept(self) -> tuple[int, str]:
        """How many the node kept back in the latest pass, and why."""
        if self._drain is None or self._link is None:
            return 0, ""
        return len(self._drain.kept), self._link.why_kept

    def envelopes(self, limit: int | None) -> Iterator[Drained]:
        """One pass. A node that went away, or came back, since the last one is noticed here."""
        if not self._asks_node and self.node.client_if_up() is not None:
            self._open()
        given = 0
        while True:
            drain = self._open_drain
            try:
                for item in drain.envelopes(None if limit is None else limit - given):
                    given += 1
                    yield item
                    if drain is not self._drain:
                        break  # replaced while the message was in hand: the old one's folders are closed
                else:
                    return
            except Unreachable:
                self._open()

    def ack(self, *names: str) -> None:
        """Several at once cost one commit of the node's, not one each."""
        try:
            self._open_drain.ack(*names)
        except Unreachable:
            self._open()
            self._open_drain.ack(*names)

    def give_back(self, name: str) -> None:
        self._open_drain.give_back(name)

    @property
    def _open_drain(self) -> Drain:
        assert self._drain is not None
        return self._drain

    def _open(self) -> None:
        """A new drain; what the old one had in hand is still in the folder `claimed`."""
        self._close()
        self.node.close()
        self._asks_node = self.node.client_if_up() is not None
        self._link = NodeLink(self.node, self.actor) if self._asks_node else None
        self._drain = Drain(RealFiles(), self._folder, self._link).__enter__()
        self._drain.put_away = self.put_away

    def _close(self) -> None:
        if self._drain is not None:
            self._drain.__exit__(None, None, None)
            self._drain = None


def folder_of(node: Dialer, actor: str) -> str:
    """The channel folder of an actor that exists."""
    folder = node.channel_folder(actor)
    if not os.path.lexists(folder):
        raise NotFound(
            f"there is no actor {actor} here: {folder} is missing", next="netsky agent ls", code="no_channel"
        )
    return folder


def as_data(item: Drained, node: Dialer) -> dict[str, Any]:
    """One message for programs. What is ours stands beside the envelope, never in it."""
    data: dict[str, Any] = {"envelope": item.raw, "file": item.name, "trust": item.trust, "again": item.again}
    if item.envelope.attachments:
        data["attachments"] = [
            {
                "name": one.name,
                "size": one.size,
                "sha256": one.sha256.hex(),
                "path": node.blob_path(one.sha256.hex()),
            }
            for one in item.envelope.attachments
        ]
    return data
