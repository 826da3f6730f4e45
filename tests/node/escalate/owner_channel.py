"""A machine whose only program is `netsky escalate`: what it was told, and how its runs end."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio
from netsky.node.lab.virtual import NoPrograms
from netsky.node.seams.processes import CannotStart, Exit, Process

HANGS = "hangs"
MISSING = "missing"


@dataclass(frozen=True)
class Told:
    at: float
    subject: str
    body: str
    words: tuple[str, ...]


@dataclass
class OwnerChannel(NoPrograms):
    """Each run ends as `ends` says, the later ones well: "" is success, HANGS and MISSING what they say, all else the
    reason of a failure."""

    ends: deque[str] = field(default_factory=deque)
    always: str = ""
    told: list[Told] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    seconds: float = 0.1

    async def start(self, argv: Sequence[str], **around: Any) -> Process:
        if "netsky.node.escalate" not in argv:
            return await super().start(argv, **around)
        assert_bounded(around)
        self.tried.append(trio.current_time())
        end = self.ends.popleft() if self.ends else self.always
        if end == MISSING:
            raise CannotStart("it is not there")
        return Run(self, tuple(argv[argv.index("netsky.node.escalate") + 1 :]), end)

    @property
    def subjects(self) -> list[str]:
        return [one.subject for one in self.told]


def assert_bounded(around: Mapping[str, Any]) -> None:
    assert around["log_bytes"] <= 1 << 20
    assert not any(name.startswith("NETSKY_") for name in around["env"])


class Run:
    pid = 4_711

    def __init__(self, channel: OwnerChannel, words: tuple[str, ...], end: str) -> None:
        self._channel, self._words, self._end = channel, words, end
        self._body = b""
        self._ended = trio.Event()
        self._answered = False
        channel.running += 1
        channel.most_at_once = max(channel.most_at_once, channel.running)

    async def send(self, data: bytes) -> None:
        self._body += data
        await trio.lowlevel.checkpoint()

    def close_input(self) -> None: ...

    async def receive(self, limit: int) -> bytes:
        if self._end == HANGS:
            await self._ended.wait()
            return b""
        await trio.sleep(self._channel.seconds)
        if self._answered:
            self._ended.set()
            return b""
        self._answered = True
        if self._end:
            return json.dumps({"ok": False, "error": {"message": self._end}}).encode()
        subject = self._words[self._words.index("--") + 1] if "--" in self._words else self._words[-1]
        self._channel.told.append(Told(trio.current_time(), subject, self._body.decode(), self._words))
        return json.dumps({"ok": True, "data": {}}).encode()

    async def wait(self) -> Exit:
        await self._ended.wait()
        self._channel.running = max(0, self._channel.running - 1)
        return Exit(1 if self._end else 0, None)

    def signal_group(self, number: int) -> None:
        self._ended.set()
