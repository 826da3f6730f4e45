"""The mesh campaign's own witnesses: a sender of one flow, or a drainer of one actor, until it is done or killed.

    python -m tests.real.mesh_client send HOME NODE KEY HISTORY '{"flow": …}'
    python -m tests.real.mesh_client drain HOME NODE KEY HISTORY ACTOR

A sender that is started again goes on where its history ends, with the same keys.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from netsky.node.bus.drain import Drained
from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import Mailbox
from netsky.node.client import Client
from netsky.node.errors import Conflict, NetskyError, TimedOut, TryLater, Unreachable
from netsky.node.home import Home
from netsky.node.lab.history import Appended, Writer, digest, read_history

TOGETHER = 32
AGAIN_SECONDS = 0.05
WAIT_SECONDS = 60
NO_ROOM = ("inbox_full", "outbox_full", "dest_held", "dest_share_full", "disk_low", "disk_full")
THE_MACHINES = (errno.EROFS, errno.ENOSPC, errno.EMFILE)
"""A folder that is read-only, a full disk: an actor tries again."""
REFUSED_ONE_IN = 50
BIG_ONE_IN = 200
BIG_CHARS = 40_000


@dataclass(frozen=True, slots=True)
class Flow:
    """Who sends to whom, how many, and within how many seconds."""

    sender: str
    to: str
    count: int
    seconds: float
    kinds: tuple[str, ...]
    began: float
    """Wall clock: who was killed in between makes up for it."""
    refused: str | None
    """A kind that the root does not let pass: some are sent all the same, and must die of it."""

    @property
    def name(self) -> str:
        return f"{self.sender}-{self.to}"

    def draft(self, number: int) -> dict[str, Any]:
        """The same for the same number, whoever makes it and when."""
        kind = self.kinds[number % len(self.kinds)]
        if self.refused is not None and number % REFUSED_ONE_IN == REFUSED_ONE_IN - 1:
            kind = self.refused
        size = BIG_CHARS if number % BIG_ONE_IN == 0 else 16 << (number % 7)
        text = f"{number} " + (digest(number) * (size // 16))
        return {
            "to": self.to,
            "from": self.sender,
            "kind": kind,
            "text": text,
            "idempotency_key": f"{self.to}-{number}",
        }


def send(home: Home, history: Writer, key: str, flow: Flow, already: int) -> None:
    for first in range(already, flow.count, TOGETHER):
        numbers = range(first, min(first + TOGETHER, flow.count))
        early = flow.began + flow.seconds * first / flow.count - time.time()
        if early > 0:
            time.sleep(early)
        drafts = [flow.draft(number) for number in numbers]
        said = [{"key": f"{flow.name} {number}", "dest": flow.to} for number in numbers]
        history.note_all("submit_call", said)
        answers = zip(said, drafts, _submit(home, drafts), strict=True)
        history.note_all(
            "submit_ok",
            [
                what | {"id": got["id"], "origin": key, "hash": got["leaf"], "value": digest(draft["text"])}
                for what, draft, got in answers
            ],
        )


def _submit(home: Home, drafts: list[dict[str, Any]]) -> list[dict[str, str]]:
    """All or none are answered; asked again with the same keys, a node says what it said before."""
    while True:
        try:
            with Client.connect(home) as client:
                args = {"drafts": drafts, "wait_s": WAIT_SECONDS}
                results = client.request("send", args, timeout=WAIT_SECONDS + 30)["results"]
        except (Unreachable, TimedOut, TryLater):
            time.sleep(AGAIN_SECONDS)  # it was killed, and comes back; or there is no room yet
            continue
        except NetskyError as error:
            if error.code != "node_stopped":
                raise
            time.sleep(AGAIN_SECONDS)
            continue
        refused = [one for one in results if not one["ok"]]
        if not refused:
            return [result["data"] for result in results]
        assert all(one["error"]["code"] in NO_ROOM for one in refused), refused
        time.sleep(AGAIN_SECONDS)


def drain(home: str, history: Writer, actor: str) -> None:
    node = Dialer(home)
    while True:
        try:
            with Mailbox(node, actor) as mailbox, Arrivals(node, actor) as arrivals:
                while True:
                    held: list[Drained] = []
                    for item in mailbox.envelopes(None):
                        held.append(item)
                        if len(held) == TOGETHER:
                            _take(mailbox, history, held)
                            held = []
                    if held:
                        _take(mailbox, history, held)
                    arrivals.wait()
        except (Unreachable, TimedOut, TryLater, Conflict):
            time.sleep(AGAIN_SECONDS)
        except OSError as error:
            if error.errno not in THE_MACHINES:
                raise
            time.sleep(AGAIN_SECONDS)


def _take(mailbox: Mailbox, history: Writer, items: list[Drained]) -> None:
    """Shown is shown: it says so before the ack, of which it may not hear the end."""
    names, shown = [], []
    for item in items:
        assert item.envelope.proof is not None
        names.append({"id": item.envelope.id, "origin": item.envelope.proof.origin.hex()})
        shown.append({"dest": f"{mailbox.actor}@{history.node}", "value": digest(item.envelope.text)})
    history.note_all("claim", [name | what for name, what in zip(names, shown, strict=True)])
    mailbox.ack(*(item.name for item in items))
    history.note_all("archive", names)


def main() -> None:
    role, home, node, key, path, what = sys.argv[1:]
    if role == "drain":
        history = Writer(Appended(path), time.time_ns, node=node, by="actor", boot=os.getpid())
        drain(home, history, what)
        return
    already = sum(event["ev"] == "submit_ok" for event in read_history(path))
    history = Writer(Appended(path), time.time_ns, node=node, by="client", boot=os.getpid())
    # What was accepted and not written down is sent again from the first of its group, and is answered as before.
    send(Home.find(home), history, key, Flow(**json.loads(what)), already - already % TOGETHER)


if __name__ == "__main__":
    main()
