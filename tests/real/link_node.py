"""One node with a link, as a process: started, watched and killed by test_link_kill.py.

    python -m tests.real.link_node FOLDER NUMBER BIND [ROOT_ADDRESS] [--send N] [--to ADDRESS]
                                   [--die-at RECORD before|after]

Says on stdout, a JSON object a line, what happens. With --die-at it ends itself by SIGKILL beside the first commit
of a record of that kind: what the product cannot do, the test does around it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import trio
from netsky.mesh.effects import Record
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.links.store import PeerStore

from tests.node.stations import Station, roster, seams_with, station


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


class DyingStore(PeerStore):
    die_at = ""
    after = False

    async def persist(self, records: Sequence[Record]) -> None:
        hit = any(type(record).__name__ == self.die_at for record in records)
        if hit and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        await super().persist(records)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(args: argparse.Namespace) -> None:
    made = Station(
        Path(args.folder), args.number, seams_with(IrohTransport), roster(1, 2), bind=args.bind, root_at=args.root,
        routes=("*@netsky1 -> *@netsky2: *",),
    )  # fmt: skip
    made.make_store = DyingStore
    with trio_as_event_loop():
        async with station(made) as node, trio.open_nursery() as nursery:
            nursery.start_soon(events, node)
            nursery.start_soon(outbox, node)
            say(event="serving")
            if args.send:
                sent = await node.send(args.to, *(f"text {at}" for at in range(args.send)))
                say(event="sent", ids=[one.id for one in sent])


async def events(node: Station) -> None:
    with node.events.subscribe() as subscription:
        while True:
            event = await subscription.next()
            say(event=event["kind"], code=event.get("code"))


async def outbox(node: Station) -> None:
    """Says once when everything that was sent has its outcome."""
    while True:
        rows = await node.rows("SELECT state, count(*) FROM outbox GROUP BY state")
        if rows and all(state == "done" for state, _ in rows):
            say(event="done", count=rows[0][1])
            return
        await trio.sleep(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("number", type=int)
    parser.add_argument("bind")
    parser.add_argument("root", nargs="?")
    parser.add_argument("--to", default="agent0@netsky0")
    parser.add_argument("--send", type=int, default=0)
    parser.add_argument("--die-at", nargs=2, default=("", "before"))
    found = parser.parse_args()
    DyingStore.die_at, DyingStore.after = found.die_at[0], found.die_at[1] == "after"
    trio.run(main, found)
