"""Three agents of somebody's project."""

from __future__ import annotations

from netsky.envelope.file import FileEnvelope
from netsky.node.api import Node


async def count_words(envelope: FileEnvelope) -> str:
    """Called for each envelope; what it returns is the answer."""
    return f"{len(envelope.text.split())} words"


class Printer:
    """Prints every order once, however often it is handed the same one: an envelope keeps its id.

    `printed` stands for the paper in the tray, `done` for a file or a table: both outlive the agent.
    """

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.done: dict[str | None, str] = {}

    async def __call__(self, envelope: FileEnvelope) -> str:
        if envelope.id not in self.done:
            self.printed.append(envelope.text)
            self.done[envelope.id] = f"printed: {envelope.text}"
        return self.done[envelope.id]


async def shout(node: Node) -> None:
    """A resident agent: reads its inbox as long as it lives. The same function runs on a real node, by `connect()`."""
    async with node.inbox() as inbox:
        async for item in inbox:
            await node.send(item.envelope.sender, item.envelope.text.upper(), kind="reply", in_reply_to=item.id)
            await item.ack()
