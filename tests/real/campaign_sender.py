"""Sends COUNT envelopes to one actor and writes history; started again it goes on where its history ends."""

from __future__ import annotations

import os
import sys
import time

from netsky.node.client import Client
from netsky.node.errors import NetskyError, Unreachable
from netsky.node.home import Home
from netsky.node.lab.history import Appended, Writer, digest, read_history

TOGETHER = 8


def main() -> None:
    home, actor, count, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    known = {event["key"] for event in read_history(path) if event["ev"] == "submit_ok"}
    missing = [key for number in range(count) if (key := f"{actor}-{number}") not in known]
    history = Writer(Appended(path), time.time_ns, node="netsky0", by="client", boot=os.getpid())
    while missing:
        keys, missing = missing[:TOGETHER], missing[TOGETHER:]
        drafts = [{"to": actor, "from": "agent0", "text": f"work {key}", "idempotency_key": key} for key in keys]
        history.note_all("submit_call", [{"key": key, "dest": actor} for key in keys])
        answers = zip(keys, drafts, send(home, drafts), strict=True)
        history.note_all(
            "submit_ok",
            [
                {"key": key, "id": answer["id"], "origin": "netsky0", "hash": answer["leaf"], "dest": actor}
                | {"value": digest(draft["text"])}
                for key, draft, answer in answers
            ],
        )


def send(home: str, drafts: list[dict[str, object]]) -> list[dict[str, str]]:
    while True:
        try:
            with Client.connect(Home.find(home)) as client:
                results = client.request("send", {"drafts": drafts, "wait_s": 60}, timeout=90)["results"]
            return [result["data"] for result in results]
        except Unreachable:
            time.sleep(0.05)  # the daemon was killed and comes back
        except NetskyError as error:
            if error.code != "node_stopped":
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
