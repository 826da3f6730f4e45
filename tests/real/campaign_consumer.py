"""Drains one actor until killed; writes `claim` when it is shown an envelope, `archive` when the node knows of it."""

from __future__ import annotations

import os
import sys
import time

from netsky.node.bus.drain import Drained
from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import Mailbox
from netsky.node.errors import Conflict, Unreachable
from netsky.node.lab.history import Appended, Writer, digest

TOGETHER = 16


def main() -> None:
    home, actor, path = sys.argv[1:4]
    history = Writer(Appended(path), time.time_ns, node="netsky0", by="actor", boot=os.getpid())
    node = Dialer(home)
    while True:
        try:
            with Mailbox(node, actor) as mailbox, Arrivals(node, actor) as arrivals:
                while True:
                    one_pass(mailbox, history)
                    arrivals.wait()
        except (Unreachable, Conflict):
            time.sleep(0.05)


def one_pass(mailbox: Mailbox, history: Writer) -> None:
    held: list[Drained] = []
    for item in mailbox.envelopes(None):
        held.append(item)
        if len(held) == TOGETHER:
            take(mailbox, history, held)
            held = []
    if held:
        take(mailbox, history, held)


def take(mailbox: Mailbox, history: Writer, items: list[Drained]) -> None:
    """Shown is shown: it says so before the ack, of which it may not hear the end."""
    names = [{"id": item.envelope.id, "origin": "netsky0"} for item in items]
    shown = [{"dest": mailbox.actor, "value": digest(item.envelope.text)} for item in items]
    history.note_all("claim", [name | what for name, what in zip(names, shown, strict=True)])
    mailbox.ack(*(item.name for item in items))
    history.note_all("archive", names)


if __name__ == "__main__":
    main()
