"""`netsky agent add`, `ls`, `rm`, `logs`."""

from __future__ import annotations

import os
import select
from typing import Any

from netsky.node.cli.dial import Dialer, local_actor
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, plural, visible
from netsky.node.errors import EXIT_DONE, NotFound, Usage

_LINES = 50
_TAIL_BYTES = 1 << 20
_LOOK_SECONDS = 0.25


def add(args: Any, out: Output) -> int:
    node: Dialer = args.node
    actor = local_actor(args.actor)
    mode = (args.mode or ("resident" if args.command else "none")).replace("-", "_")
    if mode == "none" and args.command:
        raise Usage("--mode none takes no program", next=f"netsky agent add {actor}")
    if mode != "none" and not args.command:
        raise Usage(
            f"--mode {args.mode}: say which program", next=f"netsky agent add {actor} --mode {args.mode} -- PROGRAM"
        )
    data = node.call(
        "agent_add",
        actor=actor,
        command=args.command,
        mode=mode,
        manager=local_actor(args.manager) if args.manager else None,
        environment=dict(pair.split("=", 1) for pair in args.env) if args.env else None,
        cwd=os.path.realpath(args.cwd) if args.cwd else (os.getcwd() if args.command else None),
        unfenced=args.unfenced or None,
        sandbox=args.sandbox or None,
        hosts=args.host,
        readable=[os.path.realpath(path) for path in args.readable] if args.readable else None,
        confirm=args.confirm,
        timeout=None if args.timeout is None else max(1, round(args.timeout)),
    )
    sandbox = ", in a sandbox" if data.get("sandboxed") else ""
    fence = sandbox if data.get("fenced", True) or mode == "none" else ", without a fence: it can do what you can do"
    done = "added" if data["changed"] else "is there already, just so"
    out.answer("agent-add", f"{actor} {done} ({mode.replace('_', '-')}{fence})", data)
    return EXIT_DONE


def _fence(item: dict[str, Any]) -> str:
    if item.get("sandboxed"):
        return "sandbox"
    return "yes" if item.get("fenced") else ("no" if item.get("command") else "")


def ls(args: Any, out: Output) -> int:
    data = args.node.call("agent_ls")
    actors = data["actors"]

    def human() -> None:
        if not actors:
            out.line("no actors yet: netsky agent add worker1 -- PROGRAM")
            return
        now = out.wall()
        rows = [
            (
                item["name"],
                item["mode"].replace("_", "-"),
                "" if item["mode"] == "none" else item["state"] + (f": {item['reason']}" if item.get("reason") else ""),
                age(item["started_at"], now) if item.get("started_at") else "",
                "sandbox"
                if item.get("sandboxed")
                else "yes"
                if item.get("fenced")
                else ("no" if item.get("command") else ""),
                item.get("manager") or "",
                " ".join(item.get("command") or ()),
            )
            for item in actors
        ]
        out.table(("actor", "mode", "state", "since", "fence", "manager", "program"), rows)
        if data["fence_missing"]:
            out.notice(f"no fence on this system: {data['fence_missing']} (netsky help trust)")

    out.answer("agent-ls", plural(len(actors), "actor"), data, human)
    return EXIT_DONE


def rm(args: Any, out: Output) -> int:
    actor = local_actor(args.actor)
    data = args.node.call("agent_rm", actor=actor)
    out.answer("agent-rm", f"{actor} removed; its channel folder stays", {"actor": actor, **data})
    return EXIT_DONE


def logs(args: Any, out: Output) -> int:
    """Read from the file: a log must be readable when the node is not."""
    node: Dialer = args.node
    actor = local_actor(args.actor)
    path = os.path.join(node.home.logs, f"{actor}.log")
    wanted = _LINES if args.lines is None else args.lines
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"{actor} has no log yet: {path} is missing", next="netsky agent ls", code="no_log") from None
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
        shown = lines[max(0, len(lines) - wanted) :]
        if not args.follow:
            out.answer(
                "agent-logs",
                f"{plural(len(shown), 'line')} of {path}",
                {"actor": actor, "path": path, "lines": shown},
                lambda: _print(shown, out),
            )
            return EXIT_DONE
        _each(shown, actor, path, out)
        while True:
            select.select([], [], [], _LOOK_SECONDS)
            if data := file.read():
                _each(data.decode("utf-8", "replace").splitlines(), actor, path, out)


def _print(lines: list[str], out: Output) -> None:
    for line in lines:
        out.line(visible(line.replace("\t", "    ")))
    out.stdout.flush()


def _each(lines: list[str], actor: str, path: str, out: Output) -> None:
    if not out.json:
        _print(lines, out)
        return
    for line in lines:
        out.answer("agent-logs", line, {"actor": actor, "path": path, "lines": [line]})
