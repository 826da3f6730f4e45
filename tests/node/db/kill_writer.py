"""A process that commits rows in groups and says which were acknowledged, until it is killed."""

from __future__ import annotations

import itertools
import os
import sys

import trio
from netsky.node.db import inbox, messages
from netsky.node.db.group import GroupCommit
from netsky.node.db.inbox import NewInbox
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.messages import MessageRow
from netsky.node.db.opening import begin
from netsky.node.seams.ledger import Statement
from netsky.node.seams.real import RealTime

KEY = b"k" * 32


def statements(name: str, seq: int) -> list[Statement]:
    row = MessageRow(
        *(KEY, name, KEY, b"header", b"x" * 300, None, 0, "agent0", "agent1", KEY, None, "work", None, None, None),
        *(1, 1, 1, "actor", 1, seq),
    )
    return [messages.insert([row]), inbox.insert([NewInbox(seq, "agent1", f"{name}.json", 1)])]


async def main(path: str, life: str) -> None:
    ledger = SqliteLedgers().open(path)
    await begin(ledger, path, 1, "test")
    group = GroupCommit(ledger, RealTime())
    [[(newest,)]] = await ledger.transaction([messages.newest_seq()])
    assert isinstance(newest, int)
    seqs = itertools.count(newest + 1)

    async def produce(producer: int) -> None:
        number = 0
        while True:
            name = f"{life}-{producer}-{number}"
            await group.write(statements(name, next(seqs)))
            os.write(1, f"{name}\n".encode())  # one write, so that a kill cuts no line that counts
            number += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        for producer in range(20):
            nursery.start_soon(produce, producer)


trio.run(main, sys.argv[1], sys.argv[2])
