"""`netsky init`, `up`, `down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import visible
from netsky.node.errors import EXIT_DONE, Conflict, Refused, Usage
from netsky.node.seams.real import RealChance, RealTime
from netsky.node.seams.real_files import RealFiles

if TYPE_CHECKING:
    from netsky.node.home import Home


def outside(args: Any, command: str) -> None:
    """Refuses where the command was typed inside an actor."""
    actor = args.node.inside_actor
    if actor is not None:
        sentence = f"netsky {command} is for the operator, not for {actor}"
        raise Refused(sentence, next="netsky status", code="not_for_actors")


def init(args: Any, out: Output) -> int:
    from netsky.node.init import init_home  # noqa: PLC0415 - brings cryptography

    outside(args, "init")
    made = init_home(args.node.home, RealFiles(), RealChance(), RealTime(), root=args.root, label=args.label or "")
    data = {
        "home": made.home.path,
        "name": made.name,
        "label": made.label,
        "fingerprint": made.fingerprint,
        "root": made.root,
        "mesh": made.mesh,
        "owner_key": made.owner_key,
        "already": made.already,
    }
    summary = f"{made.home.path} {'was there already' if made.already else 'is ready'}: {made.name}"

    def human() -> None:
        out.line(summary + (f" ({made.label})" if made.label else ""))
        out.line(f"  key         {made.fingerprint}")
        if made.mesh:
            out.line(f"  mesh        {made.mesh}")
        if made.owner_key:
            out.line(f"  owner key   {made.owner_key}")
            out.line()
            out.line(out.warn("Take the owner key offline now: copy that file to something you can unplug, then"))
            out.line(out.warn("delete it here. Whoever has it decides which machine is the root."))
        out.notice("next: netsky up")

    out.answer("init", summary, data, human)
    return EXIT_DONE


def up(args: Any, out: Output) -> int:
    from netsky.node import up as starter  # noqa: PLC0415 - each command loads what it needs
    from netsky.node.service import power  # noqa: PLC0415

    outside(args, "up")
    home = args.node.home
    if args.foreground:
        if args.detach or args.n:
            raise Usage("--foreground goes with neither --detach nor N", next="netsky up --foreground")
        if (pid := starter.running_pid(home)) is not None:
            raise Conflict(f"the node runs already (pid {pid})", next="netsky down, then netsky up --foreground")
        out.notice(f"the node of {home.path}; Ctrl-C stops it in order")
        starter.foreground(home, echo=not out.quiet)
    cut_off, gave_up = _told_before(home)
    started = power.up(home, args.n or 0, timeout=args.timeout)
    node = started.up
    data = {
        "home": home.path, "pid": node.pid, "already": node.already, "added": list(node.added),
        "service": started.service,
    }  # fmt: skip
    summary = f"the node {'runs already' if node.already else 'is up'} (pid {node.pid}{_by(started.service)})"
    if node.added:
        summary += f"; added {', '.join(node.added)}"
    out.answer("up", summary, data)
    for notice in (cut_off, gave_up):
        if notice and not node.already:
            out.notice(notice)
    out.notice(f"log: {home.node_log}")
    return EXIT_DONE


def _told_before(home: Home) -> tuple[str, str]:
    """What the last life, or whoever keeps it up, has left to say: a restart cut off, a service that gave up."""
    from netsky.node.handoff.intent import GAVE_UP, RESTART_NODE  # noqa: PLC0415
    from netsky.node.markers import Markers  # noqa: PLC0415

    markers, now = Markers(home, RealFiles()), RealTime().wall()
    try:
        cut_off, gave_up = markers.get(RESTART_NODE, now), markers.get(GAVE_UP, now)
    except OSError:
        return "", ""
    finishes = "this finishes the restart that {} asked for, and that was cut off: netsky handoffs"
    return (
        "" if cut_off is None else finishes.format(visible(cut_off.owner)),
        "" if gave_up is None else f"it had been given up: {visible(gave_up.reason)}",
    )


def down(args: Any, out: Output) -> int:
    from netsky.node.handoff.whole import forget  # noqa: PLC0415
    from netsky.node.service import power  # noqa: PLC0415

    outside(args, "down")
    more = {} if args.timeout is None else {"timeout": args.timeout}
    unwanted = forget(args.node.home)
    stopped = power.down(args.node.home, **more)
    node = stopped.down
    summary = "the node was not running" if node.already else f"the node is down (pid {node.pid} ended)"
    out.answer("down", summary, {"already": node.already, "pid": node.pid, "service": stopped.service})
    if unwanted is not None:
        out.notice(f"a restart that {visible(unwanted.by)} had asked for is not wanted any more by this")
    if stopped.unheard:
        out.notice(f"its service manager was not told: {stopped.unheard}")
    if stopped.service is not None:
        out.notice(f"{stopped.service} starts it again with your next login; to end that: netsky service uninstall")
    return EXIT_DONE


def _by(service: str | None) -> str:
    return f", run by {service}" if service else ""
