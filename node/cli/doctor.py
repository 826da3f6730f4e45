"""`netsky doctor`: what was checked, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, visible
from netsky.node.doctor import examine
from netsky.node.errors import EXIT_DONE, EXIT_FAILED
from netsky.node.seams.real import RealTime
from netsky.node.seams.real_files import RealFiles


def doctor(args: Any, out: Output) -> int:
    """The answer is `ok` when the looking went well; whether the node is well stands in `healthy` and the exit code."""
    checks = examine(args.node.home, RealFiles(), RealTime())
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    worth = f", {plural(warned, 'thing')} to look at" if warned else ""
    summary = (f"{plural(failed, 'check')} failed" if failed else "healthy") + worth

    def human() -> None:
        room = max(len(check.name) for check in checks) + 2
        for check in checks:
            line = f"{check.level:<5} {check.name:<{room}}{visible(check.sentence)}"
            out.wrapped(line, 6, str if check.level == "ok" else out.warn)
            if check.next:
                out.line(f"      next: {visible(check.next)}")
        out.line(summary)

    out.answer("doctor", summary, {"healthy": not failed, "checks": [asdict(check) for check in checks]}, human)
    return EXIT_FAILED if failed else EXIT_DONE
