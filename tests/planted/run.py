"""Tests the tester: plants each mistake into a copy of the tree, and simulates there until the checker names it.

    python -m tests.planted.run                              every patch, five campaigns
    python -m tests.planted.run ack-before 31 --campaigns 1  those with such a name
    python -m tests.planted.run --unplanted                  the same seeds of the tree as it is: all clean

A mistake is caught when a run ends with a story of an invariant that its patch names. A node that fell, or another
invariant, is noted and does not count. Exit 1 if a patch was not caught in every campaign, or the bare tree was.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from tests.planted.patches import Patch, chosen, copied

SMALL = "--nodes 3 --seconds 72 --faults heavy --every 2"
"""Two siblings and a root, much traffic and much trouble in little more than a minute: under two seconds of CPU."""
SEED_SECONDS = 180
APART = 1_000
"""Between the first seeds of two campaigns."""

Verdict = Literal["clean", "caught", "otherwise", "crashed", "late"]
_stuck = re.compile(r"^liveness: ", re.MULTILINE)
_named = re.compile(r"^(?:safety: |liveness: )?(I\d+b?): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one seed."""

    seed: int
    verdict: Verdict
    invariants: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Campaign:
    first: int
    seeds: int | None
    """How many it took; None if all of them did not."""
    by: tuple[str, ...] = ()
    """The invariants that named it."""
    others: dict[str, int] = field(default_factory=dict)
    """Verdicts on the way there."""


@dataclass(frozen=True, slots=True)
class Row:
    """A patch, or the tree as it is."""

    name: str
    named_by: tuple[str, ...]
    campaigns: tuple[Campaign, ...]

    @property
    def median(self) -> int | None:
        """None if more than half of them did not catch it."""
        counts = sorted(one.seeds or sys.maxsize for one in self.campaigns)
        middle = statistics.median_high(counts)
        return None if middle == sys.maxsize else middle

    @property
    def by(self) -> list[str]:
        return sorted({name for one in self.campaigns for name in one.by})


def judged(tree: Path, expected: Sequence[str], seeds: str, more: Sequence[str] = ()) -> Iterator[Judged]:
    """One after the other, each in a process of its own. `seeds` is "1-500", or "1,4,9"."""
    script = str(Path(__file__).with_name("seeds.py"))
    argv = [sys.executable, script, str(SEED_SECONDS), seeds, *more]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    with subprocess.Popen(
        argv, cwd=tree, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        try:
            for line in running.stdout:
                one = json.loads(line)
                yield Judged(one["seed"], *_verdict(one["code"], one["said"], expected), said=one["said"])
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)  # and the seed that it is at


def _verdict(code: int, said: str, expected: Sequence[str]) -> tuple[Verdict, tuple[str, ...]]:
    named = tuple(sorted(set(_named.findall(said))))
    if code == 0:
        return "clean", ()
    if code == -signal.SIGALRM:
        return "late", ()
    if set(named) & set(expected):
        return "caught", named
    return ("otherwise" if named or _stuck.search(said) else "crashed"), named


def campaign(
    tree: Path,
    patch: Patch | None,
    first: int,
    seeds_max: int,
    told: Callable[[Judged], None],
    more: Sequence[str] = (),
) -> Campaign:
    """Seeds from `first` on until one catches it. Of the tree as it is: all of them, and any violation is a catch."""
    others: dict[str, int] = {}
    seeds = f"{first}-{first + seeds_max - 1}"
    found = judged(tree, patch.named_by if patch is not None else (), seeds, more)
    with closing(found):
        for one in found:
            told(one)
            if one.verdict == "caught" or (patch is None and one.verdict != "clean"):
                by = tuple(name for name in one.invariants if patch is None or name in patch.named_by)
                return Campaign(first, one.seed - first + 1, by or (one.verdict,), others)
            others[one.verdict] = others.get(one.verdict, 0) + 1
    return Campaign(first, None, (), others)


def words_for(patch: Patch | None) -> list[str]:
    return (patch.run if patch is not None and patch.run else SMALL).split()


def campaigns(
    patches: Sequence[Patch | None], asked: argparse.Namespace, told: Callable[[str, Judged], None]
) -> list[Row]:
    """All of them at once on as many cores as there are, each campaign one seed after the other."""
    firsts = [asked.seed + APART * at for at in range(asked.campaigns)]
    with tempfile.TemporaryDirectory(prefix="netsky-planted-") as folder:
        trees = [copied(Path(folder) / _name(patch), patch) for patch in patches]
        with ThreadPoolExecutor(asked.cores) as pool:
            running = [
                [pool.submit(_one, asked, tree, patch, first, told) for first in firsts]
                for tree, patch in zip(trees, patches, strict=True)
            ]
            return [
                Row(_name(patch), patch.named_by if patch else (), tuple(one.result() for one in some))
                for patch, some in zip(patches, running, strict=True)
            ]


def _one(
    asked: argparse.Namespace, tree: Path, patch: Patch | None, first: int, told: Callable[[str, Judged], None]
) -> Campaign:
    return campaign(tree, patch, first, asked.seeds_max, partial(told, _name(patch)), asked.more or words_for(patch))


def _name(patch: Patch | None) -> str:
    return "unplanted" if patch is None else patch.name


def table(rows: Sequence[Row]) -> str:
    lines = ["| patch | named by | seeds needed | median | on the way |", "|---|---|---|---|---|"]
    for row in rows:
        needed = ", ".join(str(one.seeds or "-") for one in row.campaigns)
        others: dict[str, int] = {}
        for one in row.campaigns:
            for verdict, count in one.others.items():
                if verdict != "clean":
                    others[verdict] = others.get(verdict, 0) + count
        on_the_way = ", ".join(f"{count} {verdict}" for verdict, count in sorted(others.items()))
        lines.append(f"| {row.name} | {' '.join(row.by) or '-'} | {needed} | {row.median or '-'} | {on_the_way} |")
    return "\n".join(lines)


class Progress:
    def __init__(self, folder: Path | None) -> None:
        self._began = time.monotonic()
        self._folder = folder
        self._seeds = 0

    def told(self, name: str, judged: Judged) -> None:
        self._seeds += 1
        what = " ".join(judged.invariants)
        spent = time.monotonic() - self._began
        sys.stderr.write(
            f"\r{spent:.0f} s, {self._seeds} seeds: {name}, seed {judged.seed} {judged.verdict} {what}\033[K"
        )
        sys.stderr.flush()
        if self._folder is not None and judged.verdict != "clean":
            (self._folder / f"{name}-{judged.seed}-{judged.verdict}.txt").write_text(judged.said)


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.planted.run", description=(__doc__ or "").split("\n")[0])
    asked.add_argument("names", nargs="*", metavar="NAME", help="parts of the names of patches; all without any")
    asked.add_argument("--campaigns", type=int, default=5)
    asked.add_argument("--seeds-max", type=int, default=500, help="in each campaign")
    asked.add_argument("--seed", type=int, default=1, help="the first of the first campaign")
    asked.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--unplanted", action="store_true", help="the tree as it is, which must be clean")
    asked.add_argument("--keep", type=Path, help="a folder for what was said of seeds that were not clean")
    asked.add_argument(
        "--more", type=str.split, help=f"words for the simulation; '{SMALL}', or what the head of a patch says"
    )
    asked.add_argument("--json", action="store_true")
    args = asked.parse_args(words)
    patches: list[Patch | None] = [None] if args.unplanted else [*chosen(args.names)]
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    rows = campaigns(patches, args, Progress(args.keep).told)
    sys.stderr.write("\n")
    print(json.dumps([asdict(row) | {"median": row.median} for row in rows], indent=1) if args.json else table(rows))
    caught = [one.seeds is not None for row in rows for one in row.campaigns]
    return int(any(caught) if args.unplanted else not all(caught))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
