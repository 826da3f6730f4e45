"""`netsky tick`: one round of what keeps time, now."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED


def tick(args: Any, out: Output) -> int:
    data = args.node.call("tick")
    failed = sorted(name for name, said in data["parts"].items() if "failed" in said)
    wrong = f"; failed: {', '.join(failed)}" if failed else ""
    summary = f"round {data['round']} took {data['took_ms']:g} ms, {plural(len(data['parts']), 'part')}{wrong}"

    def human() -> None:
        out.line(summary)
        for name, said in data["parts"].items():
            facts = ", ".join(f"{key} {visible(str(value))}" for key, value in said.items())
            out.wrapped(f"  {name:<12} {facts}", 15)

    out.answer("tick", summary, data, human)
    return EXIT_FAILED if failed else EXIT_DONE
