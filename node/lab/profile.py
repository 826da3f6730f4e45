"""Which trouble a run has, drawn from its seed: each run another mix, so that one fault does not hide behind another.

profile = draw(seed, "medium", nodes=5)
print(profile.text())
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from netsky.mesh.limits import DEAD_AFTER_NS, HEARTBEAT_MS_MAX, HEARTBEAT_NS
from netsky.node.lab.drafts import Oddities, draw_oddities
from netsky.node.lab.people import chance_of
from netsky.node.seams.chance import Chance

T = TypeVar("T")

CLASSES: dict[str, tuple[str, ...]] = {
    "network": ("part", "one_way", "isolate", "clog", "stall", "cut", "storm"),
    "process": ("crash", "pause"),
    "power": ("power",),
    "disk": ("disk_slow", "disk_full", "disk_fails", "no_files"),
    "clock": ("clock_jump", "clock_drift", "clock_freeze", "sleep"),
    "loss": ("restore", "behind"),
    "actor": ("hang", "die", "lie"),
    "hostile": ("hostile", "intruder", "revoke"),
}
"""Fault classes and the kinds of each."""

KINDS = tuple(kind for kinds in CLASSES.values() for kind in kinds)


@dataclass(frozen=True, slots=True)
class Level:
    classes: dict[str, float]
    """How likely a run has faults of this class."""
    every: tuple[float, float]
    """Seconds between two faults on average: one of between these."""


HEARTBEATS_MS = (HEARTBEAT_NS // 10**6, HEARTBEAT_MS_MAX, HEARTBEAT_MS_MAX)
"""As shipped, or as seldom as a config may say. Most of what an idle mesh costs is nodes that say that they live."""


LEVELS = {
    "none": Level({}, (60.0, 60.0)),
    "light": Level({"network": 0.8, "process": 0.5, "actor": 0.3}, (40.0, 80.0)),
    "medium": Level(
        {"network": 0.8, "process": 0.6, "power": 0.4, "disk": 0.3, "clock": 0.3, "loss": 0.25, "actor": 0.4,
         "hostile": 0.3},
        (15.0, 45.0),
    ),
    "heavy": Level(
        {"network": 0.9, "process": 0.8, "power": 0.6, "disk": 0.5, "clock": 0.5, "loss": 0.5, "actor": 0.6,
         "hostile": 0.5},
        (4.0, 20.0),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    kinds: tuple[str, ...]
    every: float
    """Seconds between the beginnings of two faults, on average."""
    lasting: tuple[float, float]
    """Seconds; most are short."""
    latency: tuple[float, float]
    together: int
    """Drafts in one call, at most."""
    kinds_sent: tuple[str, ...]
    chars: int
    twice: float
    """How often a client asks once more for what it was answered already."""
    drops: float
    """How often it writes an outbox file instead."""
    odd: Oddities
    inbox_max: int
    """Envelopes that an actor may leave untaken: few, and senders are held while one hangs."""
    heartbeat_ms: int
    looks: float
    """Seconds between two looks of an actor for what came; its node looks at its folders half as often."""

    @property
    def dead_after_ms(self) -> int:
        """As many heartbeats later as a node waits that was told nothing else."""
        return self.heartbeat_ms * DEAD_AFTER_NS // HEARTBEAT_NS

    def without(self, classes: Collection[str]) -> Profile:
        gone = {kind for name in classes for kind in CLASSES[name]}
        return replace(self, kinds=tuple(kind for kind in self.kinds if kind not in gone))

    def classes(self) -> tuple[str, ...]:
        return tuple(name for name, kinds in CLASSES.items() if any(kind in self.kinds for kind in kinds))

    def text(self) -> str:
        low, high = self.latency
        return (
            f"{' '.join(self.kinds) or 'no faults'}, one every {self.every:.0f} s, up to {self.lasting[1]:.0f} s long; "
            f"latency {low * 1e3:.0f}-{high * 1e3:.0f} ms; up to {self.together} together of "
            f"{' '.join(sorted(set(self.kinds_sent)))}, up to {self.chars} characters; inboxes of {self.inbox_max}; "
            f"a heartbeat every {self.heartbeat_ms / 1e3:g} s, a look every {self.looks:g} s; {self.odd.text()}"
        )


def draw(seed: int, faults: str, only: Collection[str] = ()) -> Profile:
    """With `only`, each run has faults of all these classes, and of no other."""
    chance, level = chance_of(seed, "profile"), LEVELS[faults]
    kinds: list[str] = []
    likelihood = dict.fromkeys(only, 1.0) if only else level.classes
    for name, likely in likelihood.items():
        if chance.fraction() < likely:
            some = [kind for kind in CLASSES[name] if chance.fraction() < 0.6]
            kinds += some or [_one_of(CLASSES[name], chance)]
    if likelihood and not kinds:
        kinds = list(CLASSES["network"])
    low, high = level.every
    latency = 0.0005 * 100 ** chance.fraction()
    return Profile(
        kinds=tuple(kinds),
        every=low + (high - low) * chance.fraction(),
        lasting=(0.05, 5.0 + 55.0 * chance.fraction()),
        latency=(latency, latency * (1 + 4 * chance.fraction())),
        together=_one_of((1, 3, 8, 16), chance),
        kinds_sent=_one_of((("text",), ("text", "text", "reply"), ("text", "reply", "report", "question")), chance),
        chars=_one_of((40, 400, 4_000), chance),
        twice=_one_of((0.0, 0.05, 0.3), chance),
        drops=_one_of((0.0, 0.0, 0.3), chance),
        odd=draw_oddities(chance_of(seed, "odd")),
        inbox_max=_one_of((1_000, 1_000, 2), chance),
        heartbeat_ms=_one_of(HEARTBEATS_MS, chance),
        looks=_one_of((1.0, 4.0, 4.0, 8.0), chance),
    )


def _one_of(some: tuple[T, ...], chance: Chance) -> T:
    return some[int(chance.fraction() * len(some))]
