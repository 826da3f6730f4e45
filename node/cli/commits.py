"""`netsky commit log|rollback|approve|refuse` and `netsky gc`."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, plural, size, visible
from netsky.node.errors import EXIT_DONE


def log(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("commit_log", limit=args.limit)
    rows = data["commits"]
    summary = plural(len(rows), "commit") if rows else "nothing was committed yet"

    def human() -> None:
        if not rows:
            out.line(summary)
            return
        now = out.wall()
        cells = [
            (
                visible(one["key"]),
                one["state"] if one["code"] is None else f"{one['state']} ({one['code']})",
                (one["commit"] or "")[:12],
                one["branch"],
                one["push"] or "",
                age(one["changed"], now),
                visible(one["title"]),
            )
            for one in rows
        ]
        head = ("key", "state", "commit", "branch", "push", "changed", "title")
        out.table(head, cells, spare=("title", "push", "branch"))

    out.answer("commit-log", summary, data, human)
    return EXIT_DONE


def rollback(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("commit_rollback", key=args.key, branch=args.branch)
    was = "was taken back before" if data["again"] else "is taken back"
    pushed = {"": "", "pushed": ", and pushed", "due": "; it is not pushed yet"}.get(data["push"], "; not pushed")
    out.answer("commit-rollback", f"{visible(args.key)} {was} by {data['commit'][:12]}{pushed}", data)
    return EXIT_DONE


def approve(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("commit_decide", key=args.key, approved=True)
    out.answer("commit-approve", f"{visible(args.key)} may be committed", data)
    return EXIT_DONE


def refuse(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("commit_decide", key=args.key, approved=False, why=args.why)
    out.answer("commit-refuse", f"{visible(args.key)} is refused", data)
    return EXIT_DONE


def gc(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("gc", dry=args.dry_run or None)
    gone = sum(one["goes"] for one in data["things"])
    verb = "would go" if data["dry"] else "gone"
    summary = f"{plural(gone, 'thing')} {verb}, {size(data['freed'])}; {len(data['things']) - gone} stay"

    def human() -> None:
        rows = [
            (one["kind"], one["name"], size(one["bytes"]), verb if one["goes"] else "stays", one["why"])
            for one in data["things"]
        ]
        if rows:
            out.table(("what", "name", "size", "", "why"), rows, spare=("why",))
        out.line(summary)

    out.answer("gc", summary, data, human)
    return EXIT_DONE
