"""Sends COUNT envelopes to one actor and writes down each answer; started again it goes on where its book ends."""

from __future__ import annotations

import os
import sys
import time

from netsky.node.client import Client
from netsky.node.errors import NetskyError, Unreachable
from netsky.node.home import Home

TOGETHER = 8


def main() -> None:
    home, actor, count, book = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    known = set()
    if os.path.exists(book):
        with open(book) as lines:
            known = {line.split()[0] for line in lines if line.endswith("\n") and len(line.split()) == 2}
    missing = [key for number in range(count) if (key := f"{actor}-{number}") not in known]
    descriptor = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"\n")  # ends a line that a kill may have cut
    while missing:
        keys, missing = missing[:TOGETHER], missing[TOGETHER:]
        drafts = [{"to": actor, "from": "agent0", "text": f"work {key}", "idempotency_key": key} for key in keys]
        for key, id_ in zip(keys, send(home, drafts), strict=True):
            os.write(descriptor, f"{key} {id_}\n".encode())


def send(home: str, drafts: list[dict[str, object]]) -> list[str]:
    while True:
        try:
            with Client.connect(Home.find(home)) as client:
                results = client.request("send", {"drafts": drafts, "wait_s": 60}, timeout=90)["results"]
            return [result["data"]["id"] for result in results]
        except Unreachable:
            time.sleep(0.05)  # the daemon was killed and comes back
        except NetskyError as error:
            if error.code != "node_stopped":
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
