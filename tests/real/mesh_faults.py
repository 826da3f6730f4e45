"""Which trouble a mesh campaign has, drawn from its seed: each run another mix, so that one fault does not hide behind
another. Kinds have the names of the simulator's (`node/lab/profile.py`) where it has them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = {
    "crash": "SIGKILL, four in ten while its disk is slow",
    "pause": "SIGSTOP, longer than its peers are patient",
    "disk_slow": "each commit takes 0.1 s",
    "disk_full": "the small file system of its home has at most 1 MiB left",
    "read_only": "an actor's folder, all of them or the whole home",
    "descriptors": "a few more than it has open, or fewer",
    "part": "its cable is cut",
    "one_way": "its cable is cut in one direction",
    "clog": "datagrams wait, and come all at once",
    "delay": "datagrams are late, and overtake each other",
    "loss": "datagrams are lost, and some come twice",
    "clock_jump": "its wall clock jumps, and is set right later",
    "clock_drift": "its wall clock runs 2 % too fast or too slow, and is set right later",
    "clock_freeze": "its wall clock stands still, and is set right later",
    "restore": "netsky backup, and later netsky restore",
    "behind": "the home of a sibling is put back from an older copy, and nobody tells the node",
    "hostile": "a fifo, a link or a folder in an outbox",
    "client": "a sender or drainer gets SIGKILL",
}
NETWORK = frozenset(("part", "one_way", "clog", "delay", "loss"))
LOSSES = frozenset(("restore", "behind"))
CLOCKS = frozenset(("clock_jump", "clock_drift", "clock_freeze"))
MOUNTS = frozenset(("disk_full", "read_only"))
TROUBLED = frozenset(("disk_slow", "clog", "delay", "loss", *CLOCKS))
"""By a daemon with trouble around it and a proxy, which those in namespaces have not."""
LIKELY = 0.6
"""That a kind is in a mix."""
LOSSES_PER_HOUR = 12
"""Each takes a part of the time in which no other machine may forget."""
WEIGHTS = {"crash": 4.0, "pause": 1.5, "client": 2.0}

DOWN_SECONDS_MAX = 1.5
PAUSE_SECONDS_MAX = 8.0
CUT_SECONDS_MAX = 9.0
"""A link is dead after 5 s of silence."""
LASTS_SECONDS_MAX = 6.0
SLOW_DISK = 0.4
"""So often a daemon dies with a slow disk."""
DIES_WITHIN = 0.3
"""So often a daemon is killed while its disk is full, its folders are read-only or its descriptors few."""
LEFT_BYTES = (0, 1 << 10, 64 << 10, 1 << 20)
MORE_DESCRIPTORS = (-16, 0, 1, 3, 8)
JUMP_SECONDS = 200.0
FAR_JUMP_SECONDS = 3_600.0
DRIFT = 0.02
BACKUP_AT, RESTORE_AT = 0.2, 0.55
"""In the share of time that each loss has for itself: no node forgets what another has forgotten too."""


def why_no_mounts() -> str | None:
    """Why this process cannot have file systems of its own, or None."""
    if os.geteuid() != 0:
        return "only root may mount"
    if shutil.which("unshare") is None:
        return "the program unshare is not installed"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "no mount namespace" if tried.returncode else None


def possible(*, namespaces: bool, mounts: bool) -> dict[str, str]:
    """Which kinds cannot be had, and why."""
    without: dict[str, str] = {}
    if namespaces:
        without |= dict.fromkeys(sorted(TROUBLED), "daemons in namespaces are as shipped")
    if not mounts:
        without |= dict.fromkeys(sorted(MOUNTS), why_no_mounts() or "no mount namespace of its own")
    return without


def mix(chance: random.Random, seconds: float, every: float, asked: Sequence[str]) -> dict[str, int]:
    """How many of each kind: of all that were asked for at least one, else of some."""
    kinds = list(asked) or [kind for kind in KINDS if chance.random() < LIKELY]
    weights = {kind: WEIGHTS.get(kind, 1.0) * (1.0 if asked else chance.uniform(0.3, 2)) for kind in kinds}
    count = max(len(kinds), round(seconds / every))
    made = {kind: max(1, round(count * weight / sum(weights.values()))) for kind, weight in weights.items()}
    most = max(1, round(seconds * LOSSES_PER_HOUR / 3_600))
    return {kind: min(many, most) if kind in LOSSES else many for kind, many in made.items()}


@dataclass(frozen=True, slots=True)
class Fault:
    at: float
    """Seconds."""
    kind: str
    node: str
    how: Any = None


class Drawing:
    """Turns a mix into what happens when, to whom and how."""

    def __init__(self, chance: random.Random, names: Sequence[str], seconds: float) -> None:
        self._chance, self._names, self._seconds = chance, list(names), seconds

    def draw(self, counts: dict[str, int], ways: Collection[str]) -> list[Fault]:
        found: list[Fault] = []
        wrong = self._chance.choice(self._names)
        for kind, count in counts.items():
            if kind in LOSSES:
                continue
            among = self._names[1:] if kind in NETWORK else self._names
            if kind in CLOCKS and LOSSES & counts.keys():
                among = [wrong]
            for _ in range(count):
                at = self._chance.uniform(0.02, 1) * self._seconds
                found.append(Fault(at, kind, self._chance.choice(among), self._how(kind, ways)))
        return sorted([*found, *self._losses(counts, wrong)], key=lambda one: one.at)

    def _losses(self, counts: dict[str, int], wrong: str) -> list[Fault]:
        """Of those with true clocks: what they had before is told from what came later by the time of it."""
        todo = [kind for kind in sorted(LOSSES) for _ in range(counts.get(kind, 0))]
        self._chance.shuffle(todo)
        found = []
        clocks = CLOCKS & counts.keys()
        for at, kind in enumerate(todo):
            among = self._names[1:] if kind == "behind" else self._names
            node = self._chance.choice([name for name in among if name != wrong or not clocks])
            for what, share in ((f"copy for {kind}", BACKUP_AT), (kind, RESTORE_AT)):
                found.append(Fault((at + share) / len(todo) * self._seconds, what, node, f"{node}-{at}"))
        return found

    def _how(self, kind: str, ways: Collection[str]) -> Any:
        draw = self._chance
        longest = min(LASTS_SECONDS_MAX, self._seconds / 4)
        lasts, dies = draw.uniform(0.3, longest), draw.random() < DIES_WITHIN
        cut = draw.uniform(0.5, min(CUT_SECONDS_MAX, self._seconds / 2))
        one_way = draw.choice(("to_root", "from_root"))
        far = FAR_JUMP_SECONDS if draw.random() < 0.25 else JUMP_SECONDS
        found: dict[str, Any] = {
            "crash": (draw.uniform(0.05, DOWN_SECONDS_MAX), draw.random() < SLOW_DISK),
            "pause": draw.uniform(0, min(PAUSE_SECONDS_MAX, self._seconds / 4)),
            "disk_slow": lasts,
            "disk_full": (lasts, dies, draw.choice(LEFT_BYTES)),
            "read_only": (lasts, dies, draw.choice(("actor", "channels", "home"))),
            "descriptors": (lasts, dies, draw.choice(MORE_DESCRIPTORS)),
            "part": ("interface" if "interface" in ways and draw.random() < 0.5 else "both", cut),
            "one_way": (one_way, cut),
            "clog": (draw.choice(("both", one_way)), draw.uniform(0.2, 4)),
            "delay": (draw.choice(("both", one_way)), lasts, draw.uniform(0.01, 0.2), draw.choice((0.0, 0.01, 0.1))),
            "loss": (draw.choice(("both", one_way)), lasts, draw.uniform(0.01, 0.3), draw.choice((0.0, 0.2))),
            "clock_jump": (lasts, draw.uniform(-far, far), 0.0),
            "clock_drift": (lasts, 0.0, draw.choice((-DRIFT, DRIFT))),
            "clock_freeze": (lasts, 0.0, -1.0),
            "hostile": draw.choice(("fifo", "folder", "link")),
        }
        return found.get(kind)


def text(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) or "none"
