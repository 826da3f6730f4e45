"""The demo's manager, the same program on each of its machines: work comes in, goes out in parts, and is summed up.

It is told to whom it may hand work. A request that names a file goes to one of them; one that names none is parted
into a brief for each file of the repository. It keeps no books of its own: nothing is acknowledged before its answer
is stored, and every send has a key. So whenever it dies, it is shown everything again, and sends nothing twice.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import trio
from netsky.envelope.file import FileEnvelope
from netsky.node.api import Inbox, Item, Node, connect


@dataclass(frozen=True, slots=True)
class Request:
    item: Item
    briefs: tuple[str, ...]
    """Their ids: each is answered once."""


class Desk:
    def __init__(self, node: Node, inbox: Inbox, hands: Sequence[str]) -> None:
        self._node = node
        self._inbox = inbox
        self._hands = hands
        self._requests: list[Request] = []
        self._answers: dict[str, Item] = {}  # by the brief that they answer

    async def take_in(self, item: Item) -> None:
        if item.envelope.in_reply_to is not None:
            self._answers[item.envelope.in_reply_to] = item
        else:
            self._requests.append(Request(item, await self._hand_out(item.envelope)))
        for request in [one for one in self._requests if self._answers.keys() >= set(one.briefs)]:
            await self._answer(request)
            self._requests.remove(request)

    async def _hand_out(self, asked: FileEnvelope) -> tuple[str, ...]:
        one = json.loads(asked.data or b"{}").get("file")
        files = [str(one)] if one is not None else _files_here()
        briefs = []
        for at, file in enumerate(files):
            sent = await self._node.send(
                self._hands[at % len(self._hands)],
                f"Count the words of {file}.",
                kind="brief",
                data={"file": file},
                idempotency_key=f"{asked.id}-{at}",
            )
            briefs.append(sent.id)
        return tuple(briefs)

    async def _answer(self, request: Request) -> None:
        asked = request.item.envelope
        assert asked.id is not None
        answers = [self._answers.pop(brief) for brief in request.briefs]
        await self._node.send(
            asked.sender,
            summed_up([answer.envelope.text for answer in answers]),
            kind="reply",
            in_reply_to=asked.id,
            idempotency_key=f"{asked.id}-answer",
        )
        await self._inbox.ack(*(item.drained.name for item in (request.item, *answers)))


def summed_up(answers: Sequence[str]) -> str:
    """One answer goes up as it came. Of several, each begins with its number, or is the reason why there is none."""
    if len(answers) == 1:
        return answers[0]
    numbers = [answer.split(maxsplit=1)[0] for answer in answers]
    failed = [answer for answer, number in zip(answers, numbers, strict=True) if not number.isdecimal()]
    return failed[0] if failed else f"{sum(map(int, numbers))} words in {len(answers)} files"


def _files_here() -> list[str]:
    return sorted(name for name in os.listdir() if name.endswith(".txt"))


async def main(hands: Sequence[str]) -> None:
    async with connect() as node, node.inbox() as inbox:
        desk = Desk(node, inbox, hands)
        async for item in inbox:
            await desk.take_in(item)


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
