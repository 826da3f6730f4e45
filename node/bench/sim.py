"""How many simulated hours a minute of processor time pays for, and where it goes.

Five nodes, an envelope a second and sender, faults of the level `medium`, each history checked; with signatures and
with hashes in their place. `--nodes` adds a mesh of that size without faults, an envelope a minute and node.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import tempfile
from collections import Counter
from dataclasses import dataclass

from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.bench.reference import commit_reference
from netsky.node.cli.output import Output
from netsky.node.lab.sim import Plan, Result, run
from netsky.node.lab.standins import stand_ins

SEEDS = (1, 2, 3)
SECONDS = 120
WANTED, WANTED_STAND_INS = 2.0, 4.0
PLACES = (
    ("site-packages/trio", "trio"),
    ("site-packages/outcome", "trio"),
    ("sqlite3", "SQLite"),
    ("cryptography", "signatures"),
    ("node/lab/checker", "checker"),
    ("node/lab", "lab"),
    ("node/db", "node/db"),
    ("node/bus", "node/bus"),
    ("node/links", "node/links"),
    ("netsky/node", "rest of node"),
    ("netsky/mesh", "mesh"),
    ("netsky/relay", "relay"),
    ("netsky/envelope", "envelope"),
    ("posix", "system calls"),
    ("json", "JSON"),
)
"""Part of a path -> what it is called; the first that fits."""


@dataclass(frozen=True, slots=True)
class _Cost:
    hours: float
    cpu_seconds: float
    accepted: int

    @property
    def hours_per_minute(self) -> float:
        return self.hours / (self.cpu_seconds / 60)

    @property
    def ms_per_envelope(self) -> float:
        return self.cpu_seconds * 1e3 / max(1, self.accepted)


def bench(args: argparse.Namespace, out: Output) -> int:
    folder = os.path.realpath(args.at or os.getcwd())
    seconds = float(args.seconds or SECONDS)
    plans = [Plan(seed, seconds=seconds, every=1.0) for seed in SEEDS]
    out.progress("with signatures")
    real = _cost([_held(run(plan)) for plan in plans])
    out.progress("with hashes in their place")
    with stand_ins() as verify:
        stand_in = _cost([_held(run(plan, verify=verify)) for plan in plans])
    out.progress("with a profiler")
    figures = [
        _figure("real", "simulated hours a CPU minute, signatures", real, WANTED),
        _figure("stand_ins", "simulated hours a CPU minute, hashes in their place", stand_in, WANTED_STAND_INS),
        Figure("envelope_ms", "CPU time of an envelope, all of five nodes included", real.ms_per_envelope, "ms"),
        *_where(plans[0]),
    ]
    if args.nodes:
        out.progress(f"{args.nodes} nodes")
        figures += _large(args.nodes, seconds)
    out.progress("")
    with tempfile.TemporaryDirectory(prefix="netsky-bench-", dir=folder) as place:
        figures.append(commit_reference(place))
    title = f"Simulations of five nodes, {len(SEEDS)} seeds of {seconds:.0f} s, faults medium, checked"
    where = machine(folder)
    said = f"{real.hours_per_minute:.2f} simulated hours a CPU minute"
    out.answer("bench-sim", said, as_data(where, figures), lambda: print_figures(title, where, figures))
    return 0


def _held(result: Result) -> Result:
    if result.wrong:
        raise RuntimeError(f"seed {result.plan.seed} broke: netsky sim --replay {result.plan.seed}")
    return result


def _cost(results: list[Result]) -> _Cost:
    accepted = sum(one.report.summary.accepted for one in results if one.report is not None)
    hours = sum(one.simulated_seconds for one in results) / 3_600
    return _Cost(hours, sum(one.cpu_seconds for one in results), accepted)


def _figure(key: str, name: str, cost: _Cost, wanted: float) -> Figure:
    note = f"10 and 50 hours would take {600 / cost.hours_per_minute:.0f} and {3_000 / cost.hours_per_minute:.0f} s"
    return Figure(key, name, cost.hours_per_minute, "h", f">= {wanted:g}", note)


def _where(plan: Plan) -> list[Figure]:
    profile = cProfile.Profile()
    profile.enable()
    run(plan)
    profile.disable()
    times: Counter[str] = Counter()
    for (path, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        told = f"{path} {name}"
        times[next((called for part, called in PLACES if part in told), "Python")] += own
    whole = sum(times.values())
    return [
        Figure(f"share_{called.replace('/', '_').replace(' ', '_').lower()}", f"of it {called}", 100 * own / whole, "%")
        for called, own in times.most_common()
        if own / whole > 0.01
    ]


def _large(nodes: int, of_each: float) -> list[Figure]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = _held(run(Plan(1, nodes=nodes, seconds=of_each, faults="none", every=60.0)))
    assert result.report is not None
    seconds = nodes * result.simulated_seconds
    kib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / nodes
    return [
        Figure("node_ms", f"CPU time of a node's second, {nodes} nodes", result.cpu_seconds * 1e3 / seconds, "ms"),
        Figure("node_kib", f"memory of a node, {nodes} nodes", max(0.0, kib), "KiB"),
        Figure("large_envelopes", f"envelopes accepted, {nodes} nodes", result.report.summary.accepted, ""),
    ]
