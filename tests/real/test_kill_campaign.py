"""Senders, drainers and the daemon are killed with SIGKILL at random while 10,000 envelopes pass.

Senders and drainers write the history themselves, and the lab's checker judges it. `NETSKY_CAMPAIGN_ENVELOPES` and
`NETSKY_CAMPAIGN_SEED` change the size and the draw; the seed is printed.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from netsky.node.home import HOLDER_NAME, Home
from netsky.node.lab.checker.__main__ import text
from netsky.node.lab.checker.rules import check
from netsky.node.lab.history import Appended, Writer

from tests.node.end_state import note_end

ENVELOPES = int(os.environ.get("NETSKY_CAMPAIGN_ENVELOPES", "10000"))
SEED = int(os.environ.get("NETSKY_CAMPAIGN_SEED", str(random.SystemRandom().randrange(1 << 32))))
ACTORS = ("agent1", "agent2")
SECONDS_MAX = max(120.0, ENVELOPES / 40)
HERE = Path(__file__).parent


class Campaign:
    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.home = Home(str(folder / "home"))
        self.chance = chance
        self.kills: collections.Counter[str] = collections.Counter()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.histories: list[str] = []
        self.note = Writer(Appended(self.path("test")), time.time_ns, node="netsky0", by="test").note

    def netsky(self, *command: str) -> None:
        argv = [sys.executable, "-m", "netsky.node.cli.main", "--home", self.home.path, *command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (command, done.stderr)

    def start(self, role: str, actor: str) -> None:
        count, path = str(ENVELOPES // len(ACTORS)), self.path(role, actor)
        arguments = [actor, count, path] if role == "sender" else [actor, path]
        argv = [sys.executable, str(HERE / f"campaign_{role}.py"), self.home.path, *arguments]
        with open(self.folder / "errors", "ab") as errors:
            self.running[f"{role} {actor}"] = subprocess.Popen(argv, stderr=errors)

    def path(self, role: str, actor: str = "") -> str:
        """Of a history: one file for each witness."""
        path = str(self.folder / f"{role}{actor}.history")
        if path not in self.histories:
            self.histories.append(path)
        return path

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
        self.note("crash")
        self.netsky("up", "2")
        self.note("start")

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
    witness = Writer(Appended(campaign.path("end")), time.time_ns, node="netsky0", by="test")
    left = note_end(witness, campaign.home, ACTORS)
    report = check(campaign.histories)
    with capsys.disabled():
        kills = ", ".join(f"{count} {name}s" for name, count in sorted(campaign.kills.items()))
        print(f"\n{ENVELOPES} envelopes in {time.monotonic() - begun:.0f} s, killed {kills}; seed {SEED}")
        print(text(report))
    assert not report.violations, f"seed {SEED}"
    assert left == [], f"seed {SEED}"
    assert report.tally.by_kind["deliver"] == ENVELOPES
