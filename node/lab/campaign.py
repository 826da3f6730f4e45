"""Many seeds on all cores: workers of their own that are given plans, and what they tell.

    python -m netsky.node.lab.campaign        a worker: a plan a line comes in, an outcome a line goes out

A worker that dies, or takes too long, is an outcome too. With `twice` each plan is run by two workers whose hashes of
words differ, and their histories have to be the same, byte for byte.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from subprocess import PIPE
from typing import Any

import trio
from netsky.node.lab.sim import Plan, Result, run

PLAN_SECONDS = 900.0
"""Of real time for one plan: beyond it something does not come to rest."""
TWICE = 2


@dataclass(frozen=True)
class Outcome:
    """What a run came to, without its history."""

    plan: Plan
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """(class, sentence)."""
    rules: dict[str, int] = field(default_factory=dict)
    """What was violated, and how often."""
    digest: str = ""
    """Of the history."""
    summary: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    simulated_seconds: float = 0.0

    @property
    def violation(self) -> str | None:
        """Class and rules, the same for the same violation; None if everything held."""
        if not self.wrong:
            return None
        classes = sorted({what for what, _ in self.wrong})
        return " ".join([*classes, *sorted(self.rules)])


def outcome_of(result: Result) -> Outcome:
    report = result.report
    return Outcome(
        result.plan,
        result.wrong,
        {} if report is None else report.violations,
        sha256(result.history).hexdigest()[:16],
        {} if report is None else asdict(report.summary),
        {} if report is None else report.branches,
        result.cpu_seconds,
        result.simulated_seconds,
    )


async def campaign(
    plans: Sequence[Plan],
    told: Callable[[Outcome], None],
    *,
    workers: int | None = None,
    twice: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """`told` hears each outcome as it comes; no plan is begun any more once `stop` says so."""
    workers = workers or os.cpu_count() or 1
    firsts: dict[int, str] = {}

    def heard(outcome: Outcome) -> None:
        before = firsts.setdefault(outcome.plan.seed, outcome.digest) if twice else outcome.digest
        if before != outcome.digest:
            outcome.wrong.append(("safety", f"seed {outcome.plan.seed} run twice gave two histories"))
        told(outcome)

    async with trio.open_nursery() as nursery:
        if twice:
            for number in range(TWICE):
                some = max(1, workers // TWICE)
                _begin(nursery, iter(plans), heard, stop, some, hash_seed=number + 1)
        else:
            _begin(nursery, iter(plans), heard, stop, workers, hash_seed=0)


def _begin(
    nursery: trio.Nursery,
    plans: Iterator[Plan],
    told: Callable[[Outcome], None],
    stop: Callable[[], bool],
    workers: int,
    *,
    hash_seed: int,
) -> None:
    async def work() -> None:
        plan = _next(plans, stop)
        while plan is not None:
            async with _worker(hash_seed) as worker:
                while plan is not None:
                    outcome = await worker.outcome(plan)
                    told(outcome)
                    plan = _next(plans, stop)
                    if worker.is_over:
                        break

    for _ in range(workers):
        nursery.start_soon(work)


def _next(plans: Iterator[Plan], stop: Callable[[], bool]) -> Plan | None:
    return None if stop() else next(plans, None)


class _Worker:
    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._read = b""
        self.is_over = False

    async def outcome(self, plan: Plan) -> Outcome:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            with trio.fail_after(PLAN_SECONDS):
                await stdin.send_all(json.dumps(asdict(plan)).encode() + b"\n")
                line = await self._line()
        except trio.TooSlowError:
            self.is_over = True
            return Outcome(plan, [("liveness", f"seed {plan.seed} did not end within {PLAN_SECONDS:.0f} s")])
        except trio.BrokenResourceError:
            line = b""
        if not line:
            self.is_over = True
            code = await self._process.wait()
            return Outcome(plan, [("crash", f"seed {plan.seed}: its process ended with {code}")])
        told = json.loads(line)
        return Outcome(**{**told, "plan": plan, "wrong": [(what, sentence) for what, sentence in told["wrong"]]})

    async def _line(self) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._read:
            more = await stdout.receive_some(65_536)
            if not more:
                return b""
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line


@asynccontextmanager
async def _worker(hash_seed: int) -> AsyncIterator[_Worker]:
    argv = [sys.executable, "-m", "netsky.node.lab.campaign"]
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    process = await trio.lowlevel.open_process(argv, stdin=PIPE, stdout=PIPE, env=environ)
    try:
        yield _Worker(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()


def work() -> None:
    for line in sys.stdin.buffer:
        told = json.loads(line)
        plan = Plan(**{**told, "without": tuple(told["without"]), "only": tuple(told["only"])})
        outcome = asdict(outcome_of(run(plan)))
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    work()
