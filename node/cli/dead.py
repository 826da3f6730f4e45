"""`netsky dead ls|show|retry|drop`: what was sent and did not arrive, until somebody has dealt with it."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, local_time, plural, visible
from netsky.node.client import error_from
from netsky.node.errors import EXIT_DONE, NetskyError, Usage

_FATES = {"dead": "was not delivered", "in_doubt": "may or may not have arrived"}


def ls(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("dead_ls", limit=args.limit, before=args.before)
    letters = data["letters"]
    more = f", {data['total']} in all" if data.get("total", 0) > len(letters) else ""
    summary = f"{plural(len(letters), 'dead letter')}{more}" if letters else "no dead letters"

    def human() -> None:
        if not letters:
            out.line(summary)
            return
        now = out.wall()
        rows = [
            (
                one["id"],
                one["to"],
                one["code"] + (" (in doubt)" if one["fate"] == "in_doubt" else ""),
                age(one["known_at"], now),
                one["ended_by"],
                one["from"],
                "yes" if one["retries"] else "",
            )
            for one in letters
        ]
        head = ("id", "to", "reason", "ended", "by", "from", "sent again")
        out.table(head, rows, spare=("from", "by", "sent again", "ended"))
        if data["older"] is not None:
            out.line(f"older ones: netsky dead ls --before {data['older']}")
        out.wrapped(
            "one whole: netsky dead show ID; once more: netsky dead retry ID; done: netsky dead drop ID", 2, out.dim
        )

    out.answer("dead-ls", summary, data, human)
    return EXIT_DONE


def show(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("dead_show", id=node.full_id(args.id))
    fate = _FATES[data["fate"]]
    summary = f"{data['id']} {fate}: {data['reason']}"
    out.answer("dead-show", summary, data, lambda: _print(data, fate, out))
    return EXIT_DONE


def _print(data: dict[str, Any], fate: str, out: Output) -> None:
    now = out.wall()
    envelope = data["envelope"]
    if envelope is None:
        for name in ("id", "from", "to", "kind"):
            out.line(f"{name:<16} {visible(str(data[name]))}")
        out.line(f"{'ts':<16} {local_time(data['accepted_at'])} ({age(data['accepted_at'], now)})")
    by = f"{data['ended_by']} says, {age(data['ended_at'], now)}"
    out.wrapped(f"{'end':<16} {fate}: {visible(data['reason'])} ({visible(data['code'])}); {by}", 17)
    if data["retry"]:
        times = f", {plural(data['retries'], 'time')} in all" if data["retries"] > 1 else ""
        out.wrapped(f"{'again':<16} as {data['retry']}, {age(data['retried_at'], now)}{times}", 17)
    if data["dropped_at"]:
        out.line(f"{'dropped':<16} {age(data['dropped_at'], now)}")
    out.wrapped(f"{'next':<16} {visible(data['next'])}", 17)
    if envelope is None:
        out.line("(what it said is no longer kept)")
        return
    from netsky.node.cli.envelope_text import print_envelope  # noqa: PLC0415

    print_envelope(envelope, out)


def retry(args: Any, out: Output) -> int:
    node: Dialer = args.node
    ids = [node.full_id(one) for one in args.id]
    results = node.call("dead_retry", ids=ids, again=args.again or None)["results"]
    good = [one for one in results if one["ok"]]
    bad = [one for one in results if not one["ok"]]
    data = {"sent": [{"id": one["id"], **one["data"]} for one in good]}
    summary = f"{plural(len(good), 'letter')} sent again"

    def human() -> None:
        for one in data["sent"]:
            doubt = " (the first may have arrived, too)" if one["fate"] == "in_doubt" else ""
            out.line(one["retry"] if out.quiet else f"stored {one['retry']} for {one['to']}, after {one['id']}{doubt}")

    if bad:
        raise _refused(bad, good)
    out.answer("dead-retry", summary, data, human)
    return EXIT_DONE


def _refused(bad: list[dict[str, Any]], good: list[dict[str, Any]]) -> NetskyError:
    """The first that could not be, and what could."""
    first = error_from(bad[0]["error"])
    if len(bad) + len(good) > 1:
        sent = f"; {len(good)} sent again: {', '.join(one['id'] for one in good)}" if good else ""
        more = f" ({len(bad) - 1} more refused)" if len(bad) > 1 else ""
        first.message = f"{bad[0]['id']}: {first.message}{more}{sent}"
    return first


def drop(args: Any, out: Output) -> int:
    node: Dialer = args.node
    if sum((bool(args.id), args.all, args.older is not None)) != 1:
        raise Usage("netsky dead drop: name ids, or --all, or --older DURATION", next="netsky dead ls")
    ids = [node.full_id(one) for one in args.id] or None
    data = node.call("dead_drop", ids=ids, all=args.all or None, older=args.older)
    out.answer("dead-drop", f"{plural(data['dropped'], 'letter')} off the list", data)
    return EXIT_DONE
