"""Many cases: seeds counted up from one, a new day of traffic for every thousand of them."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import apsw
from netsky.node.lab.pages.case import Case, Tally
from netsky.node.lab.pages.reference import Reference, Violation, build
from netsky.node.lab.pages.traffic import memory_folder, record
from netsky.node.lab.pages.vfs import Vfs

CASES_PER_DAY = 1_000
"""One recording and what it must leave take two seconds: a thousand cases take forty."""

FIRST_CASE = 1_000_000
"""Cases of the seed S are S million and what follows, so that a case is found by one number."""


@dataclass(frozen=True)
class Found:
    seed: int
    sentence: str
    lost: int
    story: list[str]

    def text(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.story)
        return f"violated: {self.sentence}{lines}\n  again: python -m netsky.node.lab.pages --replay {self.seed}"


@dataclass
class Result:
    seed: int
    synchronous: str
    cases: int = 0
    tally: Tally = field(default_factory=Tally)
    found: list[Found] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.found)

    def data(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "ok": not self.found,
            "seed": self.seed,
            "synchronous": self.synchronous,
            "sqlite": apsw.sqlite_lib_version(),
            "cases": self.cases,
            "cuts": tally.cuts,
            "kills": tally.kills,
            "failed_syncs": tally.failed_syncs,
            "starts": tally.lives,
            "replays": tally.replays,
            "acknowledged": tally.acknowledged,
            "lost": self.lost,
            "torn_writes": tally.effects["torn writes"],
            "names_forgotten": tally.effects["names forgotten"],
            "where": dict(tally.where.most_common()),
            "violations": [{"seed": one.seed, "what": one.sentence, "story": one.story} for one in self.found],
            "cuts_per_cpu_second": round(tally.cuts / self.cpu_seconds, 1) if self.cpu_seconds else 0,
        }


class Campaign:
    """Inside `campaign`: it needs a folder, and SQLite of this process is its own."""

    def __init__(self, folder: str, seed: int, synchronous: str = "full") -> None:
        self.result = Result(seed, synchronous)
        self._vfs = Vfs(folder)
        self._day = -1
        self._references: list[Reference] = []

    def run(self, goes_on: Callable[[Result], bool]) -> Result:
        seed = self.result.seed * FIRST_CASE
        while goes_on(self.result):
            self.play(seed)
            seed += 1
        return self.result

    def play(self, seed: int) -> list[str]:
        """One case. Answers with what befell it."""
        began, result = _cpu(), self.result
        case = Case(seed, self._reference(seed), self._vfs, result.synchronous)
        try:
            case.run()
        except Violation as violation:
            result.found.append(Found(seed, str(violation), violation.lost, case.story))
        result.cases += 1
        result.tally.add(case.tally)
        result.cpu_seconds += _cpu() - began
        return case.story

    def close(self) -> None:
        self._vfs.unregister()

    def _reference(self, seed: int) -> Reference:
        day, at = divmod(seed, CASES_PER_DAY)
        if day != self._day:
            gc.unfreeze()
            self._references = [build(self._vfs, traffic, day) for traffic in record(day)]
            self._day = day
            gc.collect()
            gc.freeze()  # a day of statements is not looked through at each collection
        return self._references[at % len(self._references)]


@contextmanager
def campaign(seed: int, synchronous: str = "full") -> Iterator[Campaign]:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        made = Campaign(folder, seed, synchronous)
        try:
            yield made
        finally:
            made.close()
            gc.unfreeze()


def text(result: Result) -> str:
    data, tally = result.data(), result.tally
    places = [f"  {count:7,} {place}" for place, count in tally.where.most_common()]
    return "\n".join(
        (
            *(one.text() for one in result.found[:5]),
            *([f"and {len(result.found) - 5} more"] if len(result.found) > 5 else []),
            f"{tally.cuts:,} power cuts in {result.cases:,} cases of seed {result.seed}, before",
            *places,
            f"besides {tally.kills:,} deaths of the process alone and {tally.failed_syncs:,} failed syncs",
            f"{tally.lives:,} starts, {tally.replays:,} of them with a log to replay",
            f"{tally.effects['torn writes']:,} torn writes, {tally.effects['names forgotten']:,} names forgotten",
            f"{tally.acknowledged:,} transactions acknowledged, {result.lost:,} lost, {len(result.found):,} violations",
            f"synchronous = {result.synchronous}, SQLite {data['sqlite']}",
            f"{data['cuts_per_cpu_second']} cuts per second of CPU",
        )
    )


def _cpu() -> float:
    times = os.times()
    return times.user + times.system
