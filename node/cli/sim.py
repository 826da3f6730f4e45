"""`netsky sim`: whole meshes in this process, in trouble by a seed; one run, one again, a smaller one, or many."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from netsky.node.cli.lifecycle import outside
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, Usage
from netsky.node.seams.real import RealChance, RealTime

HOURS = 1.0
CAMPAIGN_HOURS = 1 / 6
SHRINK_SECONDS = 300.0
SEEDS = 1 << 32
STORIES = 3
"""Runs that broke whose stories are told in full; `--replay` shows the others, and `--json` has them all."""


@dataclass
class _Clock:
    """How long this may take, and takes."""

    began: int
    within: float | None

    @property
    def seconds(self) -> float:
        return (RealTime().monotonic() - self.began) / 1e9

    @property
    def is_over(self) -> bool:
        return self.within is not None and self.seconds >= self.within


def sim(args: Any, out: Output) -> int:
    from netsky.node.lab.campaign import Outcome  # noqa: PLC0415 - a mesh is not imported for a page of help
    from netsky.node.lab.profile import CLASSES  # noqa: PLC0415
    from netsky.node.lab.sim import Plan  # noqa: PLC0415
    from netsky.node.lab.totals import Totals  # noqa: PLC0415

    outside(args, "sim")
    _check(args, CLASSES)
    seed = args.replay if args.replay is not None else args.seed
    if seed is None:
        seed = int(RealChance().fraction() * SEEDS)
    hours = args.hours or (CAMPAIGN_HOURS if args.campaign or args.replay is not None else HOURS)
    plan = Plan(seed, args.nodes or Plan.nodes, hours * 3_600, args.faults or Plan.faults, args.every or Plan.every)
    plan = replace(plan, without=tuple(args.without or ()))
    clock, totals = _Clock(RealTime().monotonic(), args.within), Totals()
    if not out.json:
        out.line(_headline(plan, args.campaign))
    if args.campaign:
        _many(plan, args, out, totals, clock)
    else:
        _one(plan, args, out, totals, clock)
    out.progress("")
    broken: list[Outcome] = totals.broken
    for outcome in [] if out.json else broken[:STORIES]:
        for what, sentence in outcome.wrong:
            out.line(f"\n{what}: {sentence}")
    smaller = None
    if args.shrink and broken:
        smaller = _shrunk(broken[0], out, clock)
    return _answer(out, totals, smaller, clock)


def _check(args: Any, classes: Collection[str]) -> None:
    for name in args.without or ():
        if name not in classes:
            raise Usage(f"there is no class of faults {name!r}; there are {', '.join(classes)}", next="netsky sim -h")
    if args.replay is not None and (args.seed is not None or args.campaign):
        raise Usage("--replay says itself which run it is", next="netsky sim --replay SEED")
    if args.history and args.campaign:
        raise Usage("--history is of one run", next="netsky sim --replay SEED --history FILE")
    if args.twice and not args.campaign:
        raise Usage("--twice compares the runs of a campaign", next="netsky sim --campaign 20 --twice")


def _headline(plan: Any, count: int | None) -> str:
    length = f"{plan.nodes} nodes, {plan.seconds / 60:.4g} simulated minutes, faults {plan.faults}"
    if count:
        return f"seeds {plan.seed} to {plan.seed + count - 1}: {length}"
    return f"seed {plan.seed}: {length}\n{plan.profile().text()}"


def _one(plan: Any, args: Any, out: Output, totals: Any, clock: _Clock) -> None:
    from netsky.node.lab.campaign import outcome_of  # noqa: PLC0415
    from netsky.node.lab.sim import run  # noqa: PLC0415

    def progress(seconds: float) -> None:
        out.progress(f"{seconds / 60:.0f} of {plan.seconds / 60:.0f} simulated minutes, {clock.seconds:.0f} s")

    result = run(plan, progress, lambda: clock.is_over)
    if args.history:
        Path(args.history).write_bytes(result.history)
        out.notice(f"its history: {args.history} ({len(result.history) >> 10} KiB)")
    totals.add(outcome_of(result))


def _many(plan: Any, args: Any, out: Output, totals: Any, clock: _Clock) -> None:
    import trio  # noqa: PLC0415
    from netsky.node.lab.campaign import campaign  # noqa: PLC0415

    plans = [replace(plan, seed=plan.seed + at) for at in range(args.campaign)]
    runs = len(plans) * (2 if args.twice else 1)

    def told(outcome: Any) -> None:
        totals.add(outcome)
        if outcome.wrong:
            out.progress("")
            out.notice(f"seed {outcome.plan.seed}: {outcome.violation}")
        out.progress(f"{totals.runs} of {runs} runs, {plural(len(totals.broken), 'violation')}, {clock.seconds:.0f} s")

    trio.run(partial(campaign, plans, told, workers=args.workers, twice=args.twice, stop=lambda: clock.is_over))


def _shrunk(outcome: Any, out: Output, clock: _Clock) -> Any:
    from netsky.node.lab.campaign import outcome_of  # noqa: PLC0415
    from netsky.node.lab.shrink import shrink  # noqa: PLC0415
    from netsky.node.lab.sim import run  # noqa: PLC0415

    began, tried = clock.seconds, 0

    def breaks(plan: Any) -> bool:
        nonlocal tried
        tried += 1
        out.progress(f"try {tried}: {plan.seconds:.0f} s, {plan.nodes} nodes, {' '.join(plan.profile().classes())}")
        same: bool = outcome_of(run(plan)).violation == outcome.violation
        return same

    over: Callable[[], bool] = lambda: clock.is_over or clock.seconds - began > SHRINK_SECONDS  # noqa: E731
    smaller = shrink(outcome.plan, breaks, over)
    out.progress("")
    return smaller


def _answer(out: Output, totals: Any, smaller: Any, clock: _Clock) -> int:
    late = clock.is_over
    class_ = totals.class_
    said = "everything held" if class_ is None else f"{plural(len(totals.broken), 'run')} broke: {class_}"
    if class_ is None and late:
        said = f"the time was over after {clock.seconds:.0f} s; so far everything held"
    data = totals.data() | {"smaller": None if smaller is None else _again(smaller)}

    def human() -> None:
        out.line()
        for line in totals.lines():
            out.wrapped(line, 11)
        if totals.broken:
            out.line(f"to see it again: {_again(totals.broken[0].plan)}")
        if smaller is not None:
            out.line(f"smaller, and the same: {_again(smaller)}")
        out.line(said)

    out.answer("sim", said, data, human)
    if class_ is not None:
        return EXIT_FAILED
    return EXIT_TIMED_OUT if late else EXIT_DONE


def _again(plan: Any) -> str:
    """The command that runs just this."""
    words = ["netsky", "sim", "--replay", str(plan.seed), "--nodes", str(plan.nodes)]
    words += ["--hours", f"{plan.seconds / 3_600:.10g}", "--faults", plan.faults, "--every", f"{plan.every:g}"]
    for name in plan.without:
        words += ["--without", name]
    return shlex.join(words)
