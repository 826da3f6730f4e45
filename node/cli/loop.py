"""`netsky loop create`, `ls`, `rm`, `tick`, `reschedule`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from netsky.node.cli.fires import first_fire, print_faults, round_in_words
from netsky.node.cli.output import Output
from netsky.node.cli.parser import duration
from netsky.node.cli.text import length, plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, Usage
from netsky.node.schedule.limits import INTERVAL_LEAST_S, INTERVAL_MOST_S

DYNAMIC = "dynamic"


def create(args: Any, out: Output) -> int:
    wanted = {"id": args.id, "target": args.to, "prompt": args.prompt, "every": _every(args.when)}
    data = args.node.call("loop_create", **wanted)
    out.answer("loop-create", f"{data['id']} begins for {data['target']}: {_how_often(data)}", data)
    return EXIT_DONE


def _every(when: str) -> float | None:
    """None: whenever it is rescheduled."""
    if when == DYNAMIC:
        return None
    try:
        seconds = duration(when)
    except ArgumentTypeError:
        seconds = 0
    if INTERVAL_LEAST_S <= seconds <= INTERVAL_MOST_S:
        return seconds
    raise Usage(
        f"netsky loop create: how often is a duration from {length(INTERVAL_LEAST_S)} to {length(INTERVAL_MOST_S)}, "
        f"or {DYNAMIC}, not {visible(when)}",
        next='netsky loop create 15m "what it is told"',
    )


def ls(args: Any, out: Output) -> int:
    data = args.node.call("loop_ls")
    loops = data["loops"]

    def human() -> None:
        print_faults(data["faults"], "the last good version is in force, if there was one", out)
        if not loops:
            out.line('no loops: netsky loop create 30m "what it is told"')
            return
        now = out.wall()
        rows = [
            (
                one["id"],
                one["target"],
                _how_often(one),
                first_fire(one, now),
                "" if one["fault"] is None else one["fault"]["sentence"],
                one["prompt"].replace("\n", " "),
            )
            for one in loops
        ]
        out.table(("id", "target", "how often", "next", "fault", "prompt"), rows, spare=("prompt", "fault"))

    out.answer("loop-ls", plural(len(loops), "loop"), data, human)
    return EXIT_DONE


def rm(args: Any, out: Output) -> int:
    data = args.node.call("loop_rm", id=args.id)
    out.answer("loop-rm", f"{data['id']} is removed", data)
    return EXIT_DONE


def tick(args: Any, out: Output) -> int:
    data = args.node.call("loop_tick")
    out.answer("loop-tick", round_in_words(data, "loop", "loops"), data)
    return EXIT_FAILED if data["refused"] else EXIT_DONE


def reschedule(args: Any, out: Output) -> int:
    data = args.node.call("loop_reschedule", id=args.id, **{"in": getattr(args, "in")})
    out.answer("loop-reschedule", f"{data['id']}: next {first_fire(data, out.wall())}", data)
    return EXIT_DONE


def _how_often(loop: dict[str, Any]) -> str:
    return "when it says" if loop["interval_s"] is None else f"every {length(loop['interval_s'])}"
