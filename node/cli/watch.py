"""`netsky watchdog` and `netsky quiet`: what is watched, what is wrong with it, and saying that nothing will move."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.output import Output
from netsky.node.cli.text import age, length, plural, visible
from netsky.node.errors import EXIT_DONE, Usage


def watchdog(args: Any, out: Output) -> int:
    data = args.node.call("watchdog")
    alarms = data["alarms"]
    summary = f"{plural(len(data['actors']), 'actor')} watched, {_alarms(len(alarms))}"
    out.answer("watchdog", summary, data, lambda: _print(data, summary, out))
    return EXIT_DONE


def _alarms(count: int) -> str:
    return "no alarm" if not count else plural(count, "alarm")


def _print(data: dict[str, Any], summary: str, out: Output) -> None:
    now = out.wall()
    if data["looked_at"] is None:
        out.line("it has not looked yet: the node has just started")
        return
    out.line(f"{summary}; looked {age(data['looked_at'], now)}, in {data['look_ms']:g} ms")
    out.line()
    rows = [
        (
            one["actor"],
            one["standing"],
            str(one["waiting"] or ""),
            age(one["oldest"], now) if one["oldest"] is not None else "",
            age(one["moved_at"], now) if one["moved_at"] is not None else "",
            _due(one),
            one["drain"],
        )
        for one in data["actors"]
    ]
    head = ("actor", "is", "waiting", "oldest", "moved", "due", "drained")
    out.table(head, rows, spare=("drained", "oldest", "moved"))
    for quiet in data["quiet"]:
        out.wrapped(f"  {quiet_line(quiet)}", 4)
    for alarm in alarms_of(data):
        out.line()
        out.wrapped(f"alarm: {visible(alarm['sentence'])}", 2, out.warn)
        out.wrapped(f"  since {age(alarm['since'], now)}; {_done(alarm)}", 4)
        out.line(f"  next: {visible(alarm['next'])}")


def alarms_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data["alarms"]
    return found


def _due(one: dict[str, Any]) -> str:
    if one["due_in_s"] is None:
        return ""
    return f"in {length(one['due_in_s'])}" if one["due_in_s"] > 0 else f"{length(-one['due_in_s'])} ago"


def _done(alarm: dict[str, Any]) -> str:
    done = []
    if alarm["told"] is not None:
        done.append("agent0 was told")
    if alarm["pages"]:
        done.append(f"the owner was told ({plural(alarm['pages'], 'time')})")
    if alarm["revives"]:
        done.append(f"started again ({plural(alarm['revives'], 'time')})")
    if alarm["calm"]:
        done.append("nothing is done while it is quiet")
    return "; ".join(done) or "nobody was told yet"


def quiet_line(quiet: dict[str, Any]) -> str:
    by = "" if quiet["by"] == quiet["actor"] else f" (says {visible(quiet['by'])})"
    return f"{quiet['actor']} is quiet for {length(quiet['left_s'])} more{by}: {visible(quiet['reason'])}"


def quiet(args: Any, out: Output) -> int:
    if args.clear and (args.seconds is not None or args.reason is not None):
        raise Usage("netsky quiet: --clear stands alone", next="netsky quiet --clear")
    if not args.clear and (args.seconds is None or args.reason is None):
        raise Usage("netsky quiet: say for how long and why", next='netsky quiet 900 --reason "a long build"')
    data = args.node.call("quiet", actor=args.actor, clear=args.clear or None, seconds=args.seconds, reason=args.reason)
    standing = [quiet_line(one) for one in data["quiet"]]
    summary = standing[-1] if standing else f"{data['actor']} is not quiet any more"
    out.answer("quiet", summary, data)
    return EXIT_DONE
