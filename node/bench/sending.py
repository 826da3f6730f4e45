"""Whoever sends in a bench: requests of many drafts, and a process that offers at a pace or as fast as it goes.

    python -m netsky.node.bench.sending HOME TO SECONDS PACE

A PACE of 0 is as fast as it goes. It says that it is ready, begins with the first line of its stdin, and says at the
end what was accepted, when each envelope was due (wall clock), and its processor time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.home import Home

BATCH = 256
"""Drafts of one request."""

BODY_BYTES = 1024
EXPIRES_SECONDS = 600
WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sent:
    """What was accepted, in order."""

    origin: bytes
    ids: list[str]
    due: list[int]
    """Of each: when it was to be sent (wall clock, ns). Empty where there was no pace."""
    cpu: float = 0.0


def draft(to: str, **more: Any) -> dict[str, Any]:
    text = os.urandom(BODY_BYTES // 2).hex()
    return {"to": to, "from": "agent0", "text": text, "expires_in": EXPIRES_SECONDS, **more}


def request(client: Client, to: str, count: int, **more: Any) -> list[dict[str, Any]]:
    """Accepts so many, or waits for room."""
    drafts = [draft(to, **more) for _ in range(count)]
    answer = client.request("send", {"drafts": drafts, "wait_s": WAIT_SECONDS}, timeout=WAIT_SECONDS + 10)
    return all_accepted(answer)


def all_accepted(answer: dict[str, Any]) -> list[dict[str, Any]]:
    for result in answer["results"]:
        if not result["ok"]:
            raise NetskyError(f"a send was refused: {result['error']['message']}", next=result["error"]["next"])
    return [result["data"] for result in answer["results"]]


def fill(home: Home, to: str, most: int, **more: Any) -> tuple[Sent, str]:
    """Until the node refuses one: what it has accepted, and the code of the refusal. No more than `most`."""
    ids: list[str] = []
    origin, code = b"", ""
    with Client.connect(home) as client:
        while not code and len(ids) < most:
            drafts = [draft(to, **more) for _ in range(min(BATCH, most - len(ids)))]
            for result in client.request("send", {"drafts": drafts}, timeout=WAIT_SECONDS)["results"]:
                if result["ok"]:
                    ids.append(result["data"]["id"])
                    origin = bytes.fromhex(result["data"]["origin"])
                else:
                    code = str(result["error"]["code"])
    return Sent(origin, ids, []), code


class Sender:
    """That process. It begins when it is told to."""

    def __init__(self, home_path: str, to: str, seconds: float, pace: float = 0) -> None:
        argv = [sys.executable, "-m", "netsky.node.bench.sending", home_path, to, str(seconds), str(pace)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finished(self) -> Sent:
        said, _ = self._process.communicate(timeout=300)
        if not said:
            raise NetskyError("the sender of a bench failed", next="its error stands above")
        found = json.loads(said.splitlines()[-1])
        return Sent(bytes.fromhex(found["origin"]), found["ids"], found["due"], found["cpu"])


def main() -> int:
    home, to, seconds, pace = Home.find(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    with Client.connect(home) as client:
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.readline()
        results, due = _paced(client, to, seconds, pace) if pace else (_flood(client, to, seconds), [])
    origin = results[0]["origin"] if results else ""
    ids = [result["id"] for result in results]
    print(json.dumps({"origin": origin, "ids": ids, "due": due, "cpu": time.process_time()}), flush=True)
    return 0


def _flood(client: Client, to: str, seconds: float) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        results += request(client, to, BATCH)
    return results


def _paced(client: Client, to: str, seconds: float, pace: float) -> tuple[list[dict[str, Any]], list[int]]:
    """One in each request. Who comes late sends at once: what was to be sent then still counts from then."""
    results: list[dict[str, Any]] = []
    due: list[int] = []
    begun, wall = time.monotonic(), time.time_ns()
    for turn in range(round(seconds * pace)):
        at = turn / pace
        time.sleep(max(0.0, begun + at - time.monotonic()))
        results += request(client, to, 1)
        due.append(wall + round(at * 1e9))
    return results, due


if __name__ == "__main__":
    sys.exit(main())
