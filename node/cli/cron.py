"""`netsky cron add`, `ls`, `rm`, `tick`, `next`."""

from __future__ import annotations

import os
from typing import Any

from netsky.node.cli.fires import fire_in_words, first_fire, print_faults, round_in_words
from netsky.node.cli.output import Output
from netsky.node.cli.text import plural, visible
from netsky.node.errors import EXIT_DONE, EXIT_FAILED

_ZONEINFO = "/zoneinfo/"


def add(args: Any, out: Output) -> int:
    data = args.node.call(
        "cron_add",
        label=args.label,
        schedule=args.schedule,
        target=args.target,
        prompt=args.prompt,
        tz=args.tz,
        here=None if args.tz else machine_zone(),
        missed=args.missed,
    )
    summary = f"{data['label']} is in force: next {first_fire(data, out.wall())}"

    def human() -> None:
        out.line(f"{data['label']} is in force for {data['target']}: {visible(data['words'])}")
        for fire in data["next"]:
            out.line(f"  {fire_in_words(fire, out.wall())}")
        if data["through_root"]:
            out.wrapped("It goes through netsky0, as all work here does (local_work in config.toml).", 0, out.dim)

    out.answer("cron-add", summary, data, human)
    return EXIT_DONE


def ls(args: Any, out: Output) -> int:
    data = args.node.call("cron_ls")
    entries = data["entries"]
    summary = plural(len(entries), "schedule")

    def human() -> None:
        if data["fault"] is not None:
            print_faults([data["fault"]], "the last good schedule is in force", out)
        if not entries:
            out.line('no schedules: netsky cron add LABEL "30 3 * * *" agent0 PROMPT')
            return
        now = out.wall()
        rows = [
            (
                one["label"],
                one["schedule"],
                one["target"],
                first_fire(one, now) if one["enabled"] else "off",
                "" if one["fault"] is None else one["fault"]["sentence"],
                one["prompt"].replace("\n", " "),
            )
            for one in entries
        ]
        out.table(("label", "schedule", "target", "next", "fault", "prompt"), rows, spare=("prompt", "fault"))

    out.answer("cron-ls", summary, data, human)
    return EXIT_DONE


def rm(args: Any, out: Output) -> int:
    data = args.node.call("cron_rm", label=args.label)
    out.answer("cron-rm", f"{data['label']} is removed", data)
    return EXIT_DONE


def tick(args: Any, out: Output) -> int:
    data = args.node.call("cron_tick")
    out.answer("cron-tick", round_in_words(data, "entry", "entries"), data)
    return EXIT_FAILED if data["refused"] else EXIT_DONE


def next_(args: Any, out: Output) -> int:
    data = args.node.call("cron_next", label=args.label, count=args.count)
    fires = data["fires"]
    summary = f"next {fire_in_words(fires[0], out.wall())}" if fires else "nothing is due"

    def human() -> None:
        for fire in fires:
            name = "" if args.label else f"  {visible(fire['label'])}"
            out.line(f"{fire_in_words(fire, out.wall())}{name}")
        if not fires:
            out.line(summary)

    out.answer("cron-next", summary, data, human)
    return EXIT_DONE


def machine_zone() -> str | None:
    """What this machine calls its zone, if it says so: TZ, or where /etc/localtime leads."""
    said = os.environ.get("TZ", "").removeprefix(":")
    if said and not said.startswith("/"):
        return said
    try:
        where = os.path.realpath(said or "/etc/localtime", strict=True)
    except OSError:
        return None
    _, found, name = where.partition(_ZONEINFO)
    return name.removeprefix("Etc/") or None if found else None
