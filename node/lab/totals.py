"""What one run or a whole campaign came to, for people and as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from netsky.node.lab.campaign import Outcome
from netsky.node.lab.checker.branches import BY_FAULTS

CLASSES = ("crash", "safety", "liveness")
"""The worst first."""


@dataclass
class Totals:
    runs: int = 0
    accepted: int = 0
    delivered: int = 0
    open: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    in_doubt: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)
    cpu_seconds: float = 0.0
    simulated_seconds: float = 0.0
    fewest: dict[str, float] = field(default_factory=dict)
    """Of any run: nodes, accepted, simulated seconds, faults."""

    def add(self, outcome: Outcome) -> None:
        told = outcome.summary
        self.runs += 1
        self.cpu_seconds += outcome.cpu_seconds
        self.simulated_seconds += outcome.simulated_seconds
        if outcome.wrong:
            self.broken.append(outcome)
            self.classes.update({what for what, _ in outcome.wrong})
        if not told:
            return
        self.accepted += told["accepted"]
        self.delivered += told["delivered"]
        self.open += told["open"]
        self.dead.update(told["dead"])
        self.in_doubt.update(told["in_doubt"])
        self.faults.update(told["faults"])
        self.branches.update(outcome.branches)
        had = {
            "nodes": told["nodes"],
            "accepted": told["accepted"],
            "seconds": outcome.simulated_seconds,
            "faults": sum(told["faults"].values()),
        }
        self.fewest = {name: min(value, self.fewest.get(name, value)) for name, value in had.items()}

    @property
    def class_(self) -> str | None:
        return next((one for one in CLASSES if self.classes[one]), None)

    @property
    def hours_per_cpu_minute(self) -> float:
        return self.simulated_seconds / 60 / self.cpu_seconds if self.cpu_seconds else 0.0

    def _speed(self) -> str:
        hours, seconds = self.simulated_seconds / 3600, self.cpu_seconds
        return f"{hours:.2f} h simulated in {seconds:.1f} s of CPU: {self.hours_per_cpu_minute:.2f} h a CPU minute"

    def lines(self) -> list[str]:
        """For people: a fact a line."""
        reached = sum(self.branches[name] > 0 for name in BY_FAULTS)
        never = sorted(name for name in BY_FAULTS if self.branches and not self.branches[name])
        found = [
            f"accepted   {self.accepted:,}",
            f"delivered  {self.delivered:,}",
            f"dead       {_counted(self.dead)}",
            f"in doubt   {_counted(self.in_doubt)}",
            f"no end     {self.open:,}",
            f"faults     {_counted(self.faults)}",
            f"branches   {reached} of {len(BY_FAULTS)} rare ones reached that faults can reach"
            + (f"; never: {', '.join(never)}" if never else ""),
            f"speed      {self._speed()}",
        ]
        if self.runs > 1:
            least = self.fewest
            found.insert(
                0,
                f"runs       {self.runs:,}, each with at least {least.get('nodes', 0):.0f} nodes, "
                f"{least.get('accepted', 0):.0f} accepted envelopes, {least.get('seconds', 0):.0f} s and "
                f"{least.get('faults', 0):.0f} faults",
            )
        return found

    def data(self) -> dict[str, Any]:
        return {
            "class": self.class_,
            "runs": self.runs,
            "accepted": self.accepted,
            "delivered": self.delivered,
            "open": self.open,
            "dead": dict(sorted(self.dead.items())),
            "in_doubt": dict(sorted(self.in_doubt.items())),
            "faults": dict(sorted(self.faults.items())),
            "branches": dict(sorted(self.branches.items())),
            "fewest": self.fewest,
            "cpu_seconds": round(self.cpu_seconds, 3),
            "simulated_seconds": round(self.simulated_seconds, 3),
            "hours_per_cpu_minute": round(self.hours_per_cpu_minute, 3),
            "violations": [
                {
                    "seed": one.plan.seed,
                    "class": next(what for what in CLASSES if what in {found for found, _ in one.wrong}),
                    "rules": one.rules,
                    "stories": [sentence for _, sentence in one.wrong],
                }
                for one in self.broken
            ],
        }


def _counted(what: Counter[str]) -> str:
    total = sum(what.values())
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(what.items(), key=lambda one: (-one[1], one[0])))
    return f"{total:,}" + (f" ({parts})" if parts else "")
