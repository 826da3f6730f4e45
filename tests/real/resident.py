"""A resident program: reads its channel for ever and writes down what it was shown and what it took.

    python resident.py LOG [HOLD]

Each line of LOG is one JSON object with the process that wrote it. While the file HOLD is there it takes nothing that
it is shown, apart from a handoff.
"""

from __future__ import annotations

import json
import os
import sys
import time

from netsky.node.bus.drain import Drain
from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.seams.real_files import RealFiles


class Link:
    def __init__(self, client: Client) -> None:
        self._client = client

    def claim(self, names: list[str]) -> dict[str, str]:
        found: dict[str, str] = self._client.call("claim", files=names)["files"]
        return found

    def ack(self, names: list[str]) -> object:
        return self._client.call("ack", ids=list(names))


def main() -> None:
    log, hold = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""

    def note(what: str, **more: object) -> None:
        line = json.dumps({"what": what, "pid": os.getpid(), "at": time.time_ns(), **more}) + "\n"
        with open(log, "a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    note("begun")
    while True:
        try:
            with Client.connect() as client, Drain(RealFiles(), os.environ["NETSKY_CHANNEL"], Link(client)) as drain:
                while True:
                    for item in drain.envelopes():
                        note("shown", id=item.envelope.id, text=item.envelope.text)
                        if item.envelope.kind == "report" or not (hold and os.path.exists(hold)):
                            drain.ack(item.name)
                            note("taken", id=item.envelope.id, text=item.envelope.text)
                        else:
                            note("held", id=item.envelope.id, text=item.envelope.text)
                    time.sleep(0.02)
        except NetskyError:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
