"""Drains one actor and writes down what it was shown and what it took, before and after it says so, until killed."""

from __future__ import annotations

import os
import sys
import time

from netsky.node.cli.arrivals import Arrivals
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import Mailbox
from netsky.node.errors import Conflict, Unreachable

TOGETHER = 16


def main() -> None:
    home, actor, book = sys.argv[1:4]
    descriptor = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"\n")

    def note(word: str, names: list[str]) -> None:
        os.write(descriptor, "".join(f"{word} {name}\n" for name in names).encode())

    node = Dialer(home)
    while True:
        try:
            with Mailbox(node, actor) as mailbox, Arrivals(node, actor) as arrivals:
                while True:
                    one_pass(mailbox, note)
                    arrivals.wait()
        except (Unreachable, Conflict):
            time.sleep(0.05)


def one_pass(mailbox: Mailbox, note: object) -> None:
    assert callable(note)
    held: list[str] = []
    for item in mailbox.envelopes(None):
        held.append(item.name)
        if len(held) == TOGETHER:
            take(mailbox, note, held)
            held = []
    if held:
        take(mailbox, note, held)


def take(mailbox: Mailbox, note: object, names: list[str]) -> None:
    assert callable(note)
    note("shown", names)
    note("taking", names)
    mailbox.ack(*names)
    note("took", names)


if __name__ == "__main__":
    main()
