"""A daemon as a real process, killed by SIGKILL before a seam call; the daemon as shipped then ends the story.

CI draws a few points; `NETSKY_CRASH_POINTS=1-700` kills it before each of these in turn (some twenty minutes).
`tests/node/test_crash_everywhere.py` does all of them in one process.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import Mailbox
from netsky.node.client import Client
from netsky.node.errors import NetskyError
from netsky.node.home import Home

SEED = int(os.environ.get("NETSKY_CAMPAIGN_SEED", str(random.SystemRandom().randrange(1 << 32))))
DRAWN = 10
CALLS = 650
KEYS = tuple(f"key-{number}" for number in range(3))


def points() -> list[int]:
    asked = os.environ.get("NETSKY_CRASH_POINTS", "")
    if asked:
        first, _, last = asked.partition("-")
        return list(range(int(first), int(last or first) + 1))
    chance = random.Random(SEED)
    return sorted(chance.randrange(1 + part * CALLS // DRAWN, 1 + (part + 1) * CALLS // DRAWN) for part in range(DRAWN))


class Story:
    """Three envelopes to agent1, taken one by one, with the books of sender and consumer."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.accepted: dict[str, str] = {}
        self.shown: list[str] = []
        self.took: set[str] = set()

    def tell(self) -> None:
        """Goes on where it was. Raises NetskyError when the daemon dies under it."""
        with Client.connect(self.home) as client:
            client.call("agent_add", actor="agent1", mode="none")
            for key in KEYS:
                draft = {"to": "agent1", "from": "agent0", "text": f"work {key}", "idempotency_key": key}
                if key not in self.accepted:
                    self.accepted[key] = client.call("send", **draft)["id"]
        deadline = time.monotonic() + 10
        # Counted where it counts: of an ack whose answer was cut off, the consumer cannot know.
        while len(os.listdir(os.path.join(self.home.channels, "agent1", "archive"))) < len(KEYS):
            assert time.monotonic() < deadline, f"only {self.shown} of {self.accepted} were shown"
            Client.connect(self.home).close()  # a drain goes on without its node, and would wait for what is not there
            with closing(Dialer(self.home.path)) as node, Mailbox(node, "agent1") as mailbox:
                self.take(mailbox)
            time.sleep(0.02)

    def take(self, mailbox: Mailbox) -> None:
        for item in mailbox.envelopes(None):
            assert item.name not in self.took, f"{item.name} was shown again after it was taken"
            self.shown.append(item.name)
            mailbox.ack(item.name)
            self.took.add(item.name)


def netsky(home: Home, *command: str) -> None:
    argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", home.path, *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (command, done.stderr)


def live_and_die(home: Home, story: Story, point: int, book: Path) -> None:
    """The first life: until it is killed, or until the story is told."""
    argv = [sys.executable, str(Path(__file__).parent / "crashing_daemon.py"), home.path, str(book), str(point)]
    daemon = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        while daemon.poll() is None:
            try:
                story.tell()
                break
            except NetskyError:
                time.sleep(0.02)  # not up yet, or just killed
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.mark.real
def test_a_daemon_killed_before_a_seam_call_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "points"
    for point in points():
        home = Home(str(tmp_path / f"home{point}"))
        netsky(home, "init", "--root")
        story = Story(home)
        live_and_die(home, story, point, book)
        netsky(home, "up")
        try:
            story.tell()
        finally:
            netsky(home, "down")
        check(home, story, f"killed before call {point}, seed {SEED}")
    killed = book.read_text().split()
    with capsys.disabled():
        print(
            f"\nkilled {len(killed)} of {len(points())} real daemons, seed {SEED}, before: {', '.join(killed)}"[:2_000]
        )


def check(home: Home, story: Story, said: str) -> None:
    with sqlite3.connect(f"file:{home.database}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT id, file, state FROM inbox JOIN messages USING (seq)").fetchall()
    database.close()
    assert {row[0] for row in rows} == set(story.accepted.values()), said
    assert {row[2] for row in rows} == {"taken"}, said
    names = {row[1] for row in rows}
    folder = os.path.join(home.channels, "agent1")
    lying = {
        place: set(os.listdir(os.path.join(folder, place))) for place in ("inbox", "claimed", "archive", "quarantine")
    }
    assert lying == {"inbox": set(), "claimed": set(), "archive": names, "quarantine": set()}, said
    assert names <= set(story.shown), said
