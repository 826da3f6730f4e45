"""Senders, drainers and the daemon are killed with SIGKILL at random while 10,000 envelopes pass.

The books are kept by the senders and drainers themselves. `NETSKY_CAMPAIGN_ENVELOPES` and `NETSKY_CAMPAIGN_SEED`
change the size and the draw; the seed is printed.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from netsky.node.home import HOLDER_NAME, Home

ENVELOPES = int(os.environ.get("NETSKY_CAMPAIGN_ENVELOPES", "10000"))
SEED = int(os.environ.get("NETSKY_CAMPAIGN_SEED", str(random.SystemRandom().randrange(1 << 32))))
ACTORS = ("agent1", "agent2")
FOLDERS = ("inbox", "claimed", "archive", "quarantine")
SECONDS_MAX = max(120.0, ENVELOPES / 40)
HERE = Path(__file__).parent


class Campaign:
    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.home = Home(str(folder / "home"))
        self.chance = chance
        self.kills: collections.Counter[str] = collections.Counter()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def netsky(self, *command: str) -> None:
        argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, *command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (command, done.stderr)

    def start(self, role: str, actor: str) -> None:
        count = str(ENVELOPES // len(ACTORS))
        book = str(self.book(role, actor))
        arguments = [actor, count, book] if role == "sender" else [actor, book]
        argv = [sys.executable, str(HERE / f"campaign_{role}.py"), self.home.path, *arguments]
        with open(self.folder / "errors", "ab") as errors:
            self.running[f"{role} {actor}"] = subprocess.Popen(argv, stderr=errors)

    def book(self, role: str, actor: str) -> Path:
        return self.folder / f"{role}-{actor}.book"

    def lines(self, role: str, actor: str) -> list[list[str]]:
        path = self.book(role, actor)
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def archived(self) -> int:
        return sum(
            sum(name[0] != "." for name in os.listdir(os.path.join(self.home.channels, actor, "archive")))
            for actor in ACTORS
        )

    def check_all_live(self) -> None:
        fell = {name: code for name, process in self.running.items() if (code := process.poll())}
        assert not fell, f"{fell} ended by themselves: {(self.folder / 'errors').read_text()[-2000:]}; seed {SEED}"

    def kill_somebody(self) -> None:
        self.check_all_live()
        alive = [name for name, process in self.running.items() if process.poll() is None]
        if self.chance.random() < 0.08:
            self.kill_daemon()
        elif alive:
            name = self.chance.choice(alive)
            process = self.running[name]
            process.send_signal(signal.SIGKILL)
            process.wait()
            role, actor = name.split()
            self.kills[role] += 1
            self.start(role, actor)

    def kill_daemon(self) -> None:
        pid = json.loads((Path(self.home.path) / HOLDER_NAME).read_text())
        os.kill(pid["pid"], signal.SIGKILL)
        self.kills["daemon"] += 1
        self.netsky("up", "2")

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        self.netsky("down")


@pytest.mark.real
def test_killing_anybody_at_random_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    campaign = Campaign(tmp_path, chance)
    campaign.netsky("init", "--root")
    campaign.netsky("up", "2")
    begun = time.monotonic()
    try:
        for actor in ACTORS:
            campaign.start("sender", actor)
            campaign.start("consumer", actor)
        while campaign.archived() < ENVELOPES:
            assert time.monotonic() - begun < SECONDS_MAX, f"stuck with {campaign.archived()} archived; seed {SEED}"
            time.sleep(chance.uniform(0.05, 0.4))
            campaign.kill_somebody()
    finally:
        campaign.end()
    found = violations(campaign)
    with capsys.disabled():
        kills = ", ".join(f"{count} {name}s" for name, count in sorted(campaign.kills.items()))
        print(f"\n{ENVELOPES} envelopes in {time.monotonic() - begun:.0f} s, killed {kills}; seed {SEED}")
    assert found == [], f"seed {SEED}"


def violations(campaign: Campaign) -> list[str]:
    found: list[str] = []
    query = "SELECT id, file, state FROM inbox JOIN messages USING (seq) WHERE actor = ?"
    database = sqlite3.connect(f"file:{campaign.home.database}?mode=ro", uri=True)
    for actor in ACTORS:
        rows = database.execute(query, (actor,)).fetchall()
        ids = {row[0] for row in rows}
        files = {row[1]: row[2] for row in rows}
        accepted = dict(line for line in campaign.lines("sender", actor) if len(line) == 2)
        found += [f"{key} was accepted as {id_} and has no row" for key, id_ in accepted.items() if id_ not in ids]
        if len(rows) != ENVELOPES // len(ACTORS):
            found.append(f"{len(rows)} rows for {actor}")
        shown, taking, took = set(), set(), set()
        for word, name in (line for line in campaign.lines("consumer", actor) if len(line) == 2):
            if word == "shown" and name in took:
                found.append(f"{name} was shown again after it was taken")
            {"shown": shown, "taking": taking, "took": took}[word].add(name)
        places = collections.defaultdict(list)
        for place in FOLDERS:
            for name in os.listdir(os.path.join(campaign.home.channels, actor, place)):
                if name[0] != ".":
                    places[name].append(place)
        for name, state in files.items():
            if state != "taken" or places[name] != ["archive"]:
                found.append(f"{name} is {state} and lies in {places[name]}")
            if name not in shown:
                found.append(f"{name} was never shown")
            if name not in taking:
                found.append(f"{name} was archived untaken")
        found += [f"{name} lies in {where} without a row" for name, where in places.items() if name not in files]
    database.close()
    return found
