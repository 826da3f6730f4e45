"""`netsky nodes`, `approve`, `revoke`."""

from __future__ import annotations

import sys
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, plural, visible
from netsky.node.errors import EXIT_DONE, Conflict, NotFound, Usage

_REASONS = {
    "not_allowed": "no member of this mesh",
    "door_closed": "wanted to join while no invite was open",
    "revoked": "was revoked",
    "refused": "you refused it",
    "ticket_used": "its ticket was used by another machine",
    "ticket_ended": "its ticket was too old",
    "ticket_withdrawn": "its ticket was withdrawn",
    "ticket_unknown": "its ticket is not of this root",
    "ticket_wrong": "its ticket is forged",
}


def nodes(args: Any, out: Output) -> int:
    node: Dialer = args.node
    data = node.call("nodes")
    waiting = data.get("pending", [])
    alive = [member for member in data["members"] if member["state"] != "revoked"]
    summary = f"{plural(len(alive), 'node')}, {plural(len(waiting), 'join')} waiting"

    def human() -> None:
        if not data["members"]:
            out.line("this node belongs to no mesh: netsky help mesh")
            return
        _print_members(data["members"], out)
        _print_pending(waiting, out)
        for row in data.get("invites", ()):
            how = ", to be approved" if row["hold"] else ""
            out.line(f"open: one machine may join as {visible(row['label'])}{how}; ends {age(row['ends'], out.wall())}")
        for row in data.get("strangers", ()):
            why = _REASONS.get(row["code"], visible(row["code"]))
            times = f", {row['times']} times" if row["times"] > 1 else ""
            out.line(f"turned away: {row['fingerprint']}, {age(row['last_at'], out.wall())}{times}: {why}")

    out.answer("nodes", summary, data, human)
    return EXIT_DONE


def _print_members(members: list[dict[str, Any]], out: Output) -> None:
    now = out.wall()
    if "fingerprint" not in members[0]:  # for an actor
        short = [(one["name"], one["label"], one["state"], " ".join(one["capabilities"])) for one in members]
        out.table(("node", "label", "state", "can"), short)
        return
    rows = []
    for one in members:
        seen = "" if one["last_seen"] is None or one["state"] in {"here", "up"} else age(one["last_seen"], now)
        state = f"revoked {age(one['revoked_at'], now)}" if one["revoked_at"] else one["state"] + _halted(one, now)
        rows.append(
            (
                *(one["name"], one["label"], state, seen, one["program"], one["fingerprint"]),
                *(age(one["joined_at"], now), " ".join(one["capabilities"])),
            )
        )
    out.table(("node", "label", "state", "seen", "version", "key", "joined", "can"), rows)


def _halted(one: dict[str, Any], now: int) -> str:
    halted = one.get("halted")
    if halted is None:
        return ""
    since = "" if halted["since"] is None else f" {age(halted['since'], now)}"
    if not halted["answered"]:
        return f", {halted['ordered']} ordered{since}"
    return f", halted{since}" if halted["halted"] else ""


def _print_pending(waiting: list[dict[str, Any]], out: Output) -> None:
    for row in waiting:
        out.line()
        out.line(
            f"{visible(row['label'])} waits to join as {row['name']} since {age(row['asked_at'], out.wall())} "
            f"(key {row['fingerprint']}, version {visible(row['program'] or '?')})"
        )
        out.line(f"  words  {out.bold(visible(row['words']))}")
        out.line(
            f"  the same on its screen? netsky approve {row['name']}   else: netsky approve {row['name']} --refuse"
        )


def approve(args: Any, out: Output) -> int:
    data = args.node.call("approve", who=args.name, refuse=args.refuse or None)
    who = f"{data['name']} ({visible(data['label'])}, key {data['fingerprint']})"
    summary = f"{data['label']} is refused" if data["refused"] else f"{who} belongs to the mesh"
    out.answer("approve", summary, data)
    return EXIT_DONE


def revoke(args: Any, out: Output) -> int:
    node: Dialer = args.node
    if not args.yes:
        _confirm(args.name, node, out)
    data = node.call("revoke", who=args.name)
    who = f"{data['name']} ({visible(data['label'])})"
    summary = f"{who} was revoked before" if data["already"] else f"{who} no longer belongs to the mesh"
    out.answer("revoke", summary, data)
    return EXIT_DONE


def _confirm(said: str, node: Dialer, out: Output) -> None:
    """A slip of the finger must not cost a machine: a person types the name once more."""
    if out.json or not sys.stdin.isatty():
        raise Usage("nobody is here to confirm it", next=f"netsky revoke {said} --yes", code="not_confirmed")
    members = node.call("nodes")["members"]
    member = next((one for one in members if said in {one["name"], one["label"]}), None)
    if member is None:
        raise NotFound(f"no member is called {said}", next="netsky nodes", code="unknown_node")
    out.notice(
        f"{member['name']} ({visible(member['label'])}, key {member['fingerprint']}) is cut off at once, what waits "
        "for it ends, and its key never comes back."
    )
    sys.stderr.write(f"Type {member['name']} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != member["name"]:
        raise Conflict("nothing was changed", next=f"netsky revoke {said}", code="not_confirmed")
