"""`netsky run`, `task …` and `note`."""

from __future__ import annotations

import os
import sys
import tomllib
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.send import text_said
from netsky.node.cli.text import age, local_time, plural, visible
from netsky.node.client import CALL_SECONDS
from netsky.node.errors import EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, Usage
from netsky.node.limits import WAIT_SECONDS_MAX
from netsky.node.seams.real import RealTime

_SLICE_SECONDS = 20.0
"""Of waiting for a run: a node that was restarted meanwhile is found again."""


def run(args: Any, out: Output) -> int:
    text = _read(args.plan)
    found = _checked(args.plan, text)
    if args.on:
        defaults = found.get("defaults", {})
        found["defaults"] = {**defaults, "on": _words(args.on)}
    for key in ("repository", "push"):
        if found.get(key):
            found[key] = _place(args.plan, found[key])
    for warning in found.pop("__warnings__"):
        out.notice(f"{args.plan}: {visible(warning)}")
    if args.check:
        out.answer(
            "run", f"{args.plan} is a plan of {plural(len(found['ticket']), 'ticket')}", {"run": None, "states": {}}
        )
        return EXIT_DONE
    node: Dialer = args.node
    started = node.client().request("work_run", {"plan": found}, timeout=2 * CALL_SECONDS)
    data: dict[str, Any] = {"run": started["run"], "states": {}}
    if args.no_wait:
        summary = f"{started['run']['id']}: {plural(started['run']['tickets'], 'ticket')} on their way"
        out.answer("run", summary, data, lambda: out.line(started["run"]["id"] if out.quiet else summary))
        return EXIT_DONE
    id_ = started["run"]["id"]
    out.notice(f"{id_}: {plural(started['run']['tickets'], 'ticket')}; netsky task tree {id_}")
    data = _waited(node, id_, args.timeout, out)
    state = data["run"]["state"]
    counts = ", ".join(f"{count} {name}" for name, count in sorted(data["states"].items()))
    why = f": {data['run']['reason']}" if state == "blocked" else ""
    out.answer("run", f"{data['run']['id']} is {state} ({counts}){why}", data)
    if state == "blocked":
        out.notice(f"next: netsky task ls --run {data['run']['id']} --state blocked")
    return EXIT_DONE if state == "completed" else EXIT_FAILED if state == "blocked" else EXIT_TIMED_OUT


def _place(plan: str, said: str) -> str:
    """A path is that of a folder beside the plan; the node stands elsewhere."""
    if "://" in said:
        return said
    beside = os.getcwd() if plan == "-" else os.path.dirname(os.path.abspath(plan))
    return os.path.normpath(os.path.join(beside, os.path.expanduser(said)))


def _waited(node: Dialer, run_id: str, timeout: float | None, out: Output) -> dict[str, Any]:
    time = RealTime()
    until = time.monotonic() + int((WAIT_SECONDS_MAX if timeout is None else timeout) * 1e9)
    try:
        while True:
            left = max(0.0, (until - time.monotonic()) / 1e9)
            wait = min(left, 2.0 if out.shows_progress else _SLICE_SECONDS)
            data = node.client().request("work_wait", {"run": run_id, "wait_s": wait}, timeout=2 * CALL_SECONDS)
            if data["run"]["state"] in {"completed", "blocked"} or not left:
                return data
            done = data["states"].get("committed", 0)
            out.progress(f"{run_id}: {done} of {data['run']['tickets']} committed …")
    finally:
        out.progress("")


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise Usage(f"{path} is not UTF-8", next="netsky help work", code="bad_plan") from None


def _checked(path: str, text: str) -> dict[str, Any]:
    """What the plan says; Usage with each fault and its line."""
    from netsky.node.work.plan.plan import read_plan  # noqa: PLC0415 - the other commands do without

    plan = read_plan(text)
    if isinstance(plan, list):
        lines = "; ".join(f"{path}:{fault.line}: {fault.sentence}" for fault in plan)
        raise Usage(
            f"{plural(len(plan), 'fault')}, and nothing was started: {lines}", next="netsky help work", code="bad_plan"
        )
    return tomllib.loads(text) | {"__warnings__": plan.warnings}


def add(args: Any, out: Output) -> int:
    said: dict[str, Any] = {"id": args.name, "title": args.title, "idempotency_key": args.key}
    said["text"] = None if args.text is None else text_said(args.text)
    said |= {
        name: _words(value) for name, value in (("after", args.after), ("needs", args.needs), ("on", args.on)) if value
    }
    if args.command:
        said |= {"runtime": "command", "command": args.command}
    ticket = {name: value for name, value in said.items() if value is not None}
    data = args.node.call("task_add", ticket=ticket, run=args.run, parent=args.parent)
    out.answer(
        "task-add",
        f"{data['ticket']} is on its way",
        data,
        lambda: out.line(_first(data["ticket"], " is on its way", out)),
    )
    return EXIT_DONE


def ls(args: Any, out: Output) -> int:
    asked = {"run": args.run, "owner": args.owner, "state": args.state, "open": args.open or None, "limit": args.limit}
    data = args.node.call("task_ls", **asked)
    found, runs = data["tickets"], data["runs"]
    summary = (
        plural(len(runs), "run")
        if args.runs
        else f"{plural(len(found), 'ticket')}{', and more' if data['more'] else ''}"
    )

    def human() -> None:
        now = out.wall()
        if args.runs:
            rows = [
                (
                    *(one["id"], one["state"], str(one["tickets"]), str(one["open"])),
                    *(age(one["made_at"], now), one["reason"] or one["title"]),
                )
                for one in runs
            ]
            out.table(("run", "state", "tickets", "open", "made", "why"), rows, spare=("made", "why"))
            return
        if not found:
            out.line("no tickets: netsky run PLAN, or netsky task add NAME")
            return
        lines = [
            (
                one["id"],
                one["state"],
                one["owner"],
                age(one["since"], now),
                one["waits"] or one["reason"] or one["title"],
            )
            for one in found
        ]
        out.table(("ticket", "state", "with", "since", "why"), lines, spare=("since",))
        if data["more"]:
            out.line("more of them: --limit 1000, or one run: --run RUN")

    out.answer("task-ls", summary, data, human)
    return EXIT_DONE


def show(args: Any, out: Output) -> int:
    data = args.node.call("task_show", id=args.id)
    summary = f"{data['id']} is {data['state']}"
    out.answer("task-show", summary, data, lambda: _print_ticket(data, out))
    return EXIT_DONE


def _print_ticket(data: dict[str, Any], out: Output) -> None:
    now = out.wall()
    title = f"  {visible(data['title'])}" if data["title"] else ""
    out.line(out.bold(f"{data['id']}{title}"))
    why = data["waits"] or visible(data["reason"])
    rows = [
        ("state", f"{data['state']}, {age(data['since'], now)}" + (f": {why}" if why else "")),
        (
            "with",
            f"{data['owner'] or 'nobody'}" + (f" (node {data['node']}, fence {data['fence']})" if data["node"] else ""),
        ),
        ("role", f"{data['role']}, runtime {data['runtime']}" + (", alone on its node" if data["alone"] else "")),
        ("next", data["next"]),
    ]
    for word, some in (("after", data["after"]), ("before", data["before"]), ("children", data["children"])):
        if some:
            rows.append((word, ", ".join(f"{one['id']} ({one['state']})" for one in some)))
    for name, value in rows:
        out.wrapped(f"{name:<10} {value}", 11)
    if data["report"]:
        report = data["report"]
        said = ", ".join(
            visible(str(report[name])) for name in ("ended", "code", "reason", "walled") if report.get(name)
        )
        out.wrapped(f"{'report':<10} {said}", 11)
    for one in data["grants"]:
        what = ", ".join(f"{name} {' '.join(one[name])}" for name in ("fs_write", "net") if one.get(name))
        out.wrapped(f"{'allowed':<10} {what} until {local_time(one['until'])}, by {one['by']} ({one['envelope']})", 11)
    out.line(out.dim("story"))
    for step in data["story"]:
        node = f" at {step['node']}" if step["node"] and step["state"] in {"offered", "leased", "reported"} else ""
        tried = f", try {step['try']}" if step["try"] > 1 else ""
        why = f": {visible(step['reason'])}" if step["reason"] else ""
        out.wrapped(f"  {local_time(step['at'], millis=True)}  {step['event']} → {step['state']}{node}{tried}{why}", 27)
    for one in data["notes"]:
        out.wrapped(f"  note:{one['id']} {one['author']}, {age(one['at'], now)}: {visible(one['text'])}", 4)


def tree(args: Any, out: Output) -> int:
    data = args.node.call("task_tree", run=args.run)
    summary = f"{data['run']['id']} is {data['run']['state']}, {plural(data['run']['tickets'], 'ticket')}"

    def human() -> None:
        out.line(out.bold(summary) + (f": {visible(data['run']['reason'])}" if data["run"]["reason"] else ""))
        front = f"{data['run']['id']}."
        for one in data["tickets"]:
            after = ", ".join(name.removeprefix(front) for name in one["after"])
            behind = f"  after {after}" if after else ""
            why = one["waits"] or one["reason"]
            said = f"  {visible(why)}" if why and one["state"] != "committed" else ""
            out.wrapped(
                f"{'  ' * (one['depth'] + 1)}{one['state']:<10} {one['id'].removeprefix(front)}{behind}{said}", 6
            )

    out.answer("task-tree", summary, data, human)
    return EXIT_DONE


def cancel(args: Any, out: Output) -> int:
    data = args.node.call("task_cancel", id=args.id, run=args.run, reason=args.reason)
    late = f", {len(data['late'])} too late" if data["late"] else ""
    out.answer("task-cancel", f"{plural(len(data['cancelled']), 'ticket')} cancelled{late}", data)
    return EXIT_DONE


def retry(args: Any, out: Output) -> int:
    data = args.node.call("task_retry", id=args.id, reason=args.reason)
    out.answer("task-retry", f"tried again: {', '.join(data['retried'])}", data)
    return EXIT_DONE


def unblock(args: Any, out: Output) -> int:
    allowed: dict[str, list[str]] = {}
    for pair in args.allow or ():
        name, _, value = pair.partition("=")
        allowed.setdefault(name, []).append(value)
    unknown = sorted(allowed.keys() - {"fs_write", "net"})
    if unknown:
        raise Usage(f"--allow {unknown[0]}=…: fs_write and net can be allowed", next="netsky task unblock -h")
    data = args.node.call("task_unblock", id=args.id, for_s=args.until, **allowed)
    more = f", with more allowed until {local_time(data['until'])}" if data["allowed"] else ""
    out.answer("task-unblock", f"{data['ticket']} is tried again{more}", data)
    return EXIT_DONE


def reasons(args: Any, out: Output) -> int:
    data = args.node.call("task_reasons")
    found = data["reasons"]
    summary = f"{plural(sum(one['count'] for one in found), 'try', 'tries')} ended for {plural(len(found), 'reason')}"

    def human() -> None:
        if not found:
            out.line("every try ended well")
            return
        out.table(("why", "role", "node", "times"), [(o["code"], o["role"], o["node"], str(o["count"])) for o in found])

    out.answer("task-reasons", summary, data, human)
    return EXIT_DONE


def note(args: Any, out: Output) -> int:
    data = args.node.call("note", id=args.id, text=text_said(args.text))
    out.answer("note", f"{data['pointer']} stands beside {data['ticket']}", data)
    return EXIT_DONE


def _words(said: str) -> list[str]:
    return [word for word in said.replace(" ", ",").split(",") if word]


def _first(first: str, rest: str, out: Output) -> str:
    return first if out.quiet else first + rest
