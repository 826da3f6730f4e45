"""`netsky channel ls`, `ack`, `replay`, `forward-outbox`."""

from __future__ import annotations

from typing import Any

from netsky.node.bus.folders import check_not_replaced
from netsky.node.cli.dial import Dialer
from netsky.node.cli.mailbox import folder_of
from netsky.node.cli.output import Output
from netsky.node.cli.text import age, plural, size, visible
from netsky.node.errors import EXIT_DONE, NotFound, Usage
from netsky.node.limits import GROUP_ITEMS_MAX, LIST_ROWS_MAX
from netsky.node.seams.real_files import RealFiles

_ROWS = 100


def ls(args: Any, out: Output) -> int:
    if args.quarantine:
        return _quarantine(args, out)
    node: Dialer = args.node
    actor = args.actor or node.inside_actor
    if actor is None:
        return _all_channels(node, out)
    actor = node.actor_or_self(actor, "channel ls")
    limit = _ROWS if args.limit is None else args.limit
    data = node.call("inbox", actor=actor, limit=limit)
    waiting = data["waiting"]

    def human() -> None:
        if not waiting:
            out.line(f"nothing waits for {actor}")
            return
        now = out.wall()
        rows = [
            (item["id"], item["from"], item.get("kind") or "text", age(item["stored_at"], now), _state(item, now))
            for item in waiting
        ]
        out.table(("id", "from", "kind", "stored", "state"), rows)
        if len(waiting) >= limit:
            out.notice(f"the first {limit}; more with --limit")

    out.answer("channel-ls", f"{plural(len(waiting), 'message')} for {actor}", data, human)
    return EXIT_DONE


def _state(item: dict[str, Any], now: int) -> str:
    if item.get("claimed_at") is not None:
        return f"claimed {age(item['claimed_at'], now)}"
    return "waiting"


def _all_channels(node: Dialer, out: Output) -> int:
    channels = node.call("inbox")["channels"]

    def human() -> None:
        if not channels:
            out.line("nothing waits for anybody")
            return
        now = out.wall()
        rows = [
            (
                item["actor"],
                str(item["waiting"]),
                str(item["claimed"]),
                age(item["oldest"], now) if item.get("oldest") is not None else "",
                str(item.get("quarantined") or ""),
            )
            for item in channels
        ]
        out.table(("actor", "waiting", "claimed", "oldest", "quarantined"), rows)

    total = sum(item["waiting"] for item in channels)
    out.answer(
        "channel-ls", f"{plural(total, 'message')} for {plural(len(channels), 'actor')}", {"channels": channels}, human
    )
    return EXIT_DONE


def _quarantine(args: Any, out: Output) -> int:
    node: Dialer = args.node
    actor = node.actor_or_self(args.actor, "channel ls") if args.actor or node.inside_actor else None
    files = node.call("quarantine_ls", actor=actor, limit=_ROWS if args.limit is None else args.limit)["files"]

    def human() -> None:
        if not files:
            out.line("nothing was refused")
            return
        now = out.wall()
        for item in files:
            known = item.get("size")
            out.table(
                (f"{item['actor']}: {item['name']}",),
                (
                    (f"  {item['sentence']} ({item['reason']})",),
                    (f"  {age(item['at'], now)}" + (f", {size(known)}" if known is not None else ""),),
                ),
            )

    out.answer("channel-ls", f"{plural(len(files), 'file')} in quarantine", {"quarantine": files}, human)
    return EXIT_DONE


def _split(said: list[str], node: Dialer, command: str) -> tuple[str, list[str]]:
    """The reader and the ids: the reader as first word, or ourselves, or whom the first envelope was for."""
    from netsky.envelope.address import parse_address  # noqa: PLC0415
    from netsky.envelope.invalid import Invalid  # noqa: PLC0415

    try:
        actor = str(parse_address(said[0]))
    except Invalid:
        ids = [node.full_id(one) for one in said]
        actor_here = node.inside_actor
        return (actor_here, ids) if actor_here is not None else (_recipient(ids[0], node, command), ids)
    if len(said) == 1:
        raise Usage(f"netsky {command} {actor}: say which envelopes", next=f"netsky channel ls {actor}")
    return actor, [node.full_id(one) for one in said[1:]]


def _recipient(envelope: str, node: Dialer, command: str) -> str:
    if "'" in envelope:
        raise NotFound(f"no envelope has the id {envelope}", next="netsky channel ls")
    rows = node.call(
        "query",
        sql=f"SELECT DISTINCT actor FROM inbox JOIN messages USING (seq) WHERE id = '{envelope}' LIMIT 2",  # noqa: S608 - holds no quote
    )["rows"]
    if not rows:
        raise NotFound(f"no envelope has the id {envelope}", next="netsky channel ls")
    if len(rows) > 1:
        raise Usage(
            f"{envelope} stands in several inboxes: say whose", next=f"netsky {command} {rows[0][0]} {envelope}"
        )
    return str(rows[0][0])


def ack(args: Any, out: Output) -> int:
    node: Dialer = args.node
    shown: dict[str, str] = {}
    if args.shown:
        actor = node.actor_or_self(args.id[0] if args.id else None, "channel ack --shown")
        # What was shown may have come from another folder: only whoever names an id knows that it was this message.
        check_not_replaced(RealFiles(), folder_of(node, actor))
        shown = _shown(node, actor)
        ids = list(shown)
    elif args.id:
        actor, ids = _split(args.id, node, "channel ack")
    else:
        raise Usage("say which messages were taken", next="netsky channel ack ID, or netsky channel ack agent0 --shown")
    taken: list[str] = []
    unknown: list[str] = []
    for start in range(0, len(ids), GROUP_ITEMS_MAX):
        said = node.call("ack", actor=actor, ids=ids[start : start + GROUP_ITEMS_MAX])
        taken += [shown.get(one, one) for one in said["taken"]]
        unknown += [shown.get(one, one) for one in said["unknown"]]
    if unknown and not taken:
        raise NotFound(f"nothing in {actor}'s inbox has the id {', '.join(unknown)}", next=f"netsky channel ls {actor}")
    for one in unknown:
        out.notice(f"not in {actor}'s inbox: {one}")
    out.answer(
        "channel-ack",
        f"{plural(len(taken), 'message')} taken by {actor}",
        {"actor": actor, "taken": taken, "unknown": unknown},
    )
    return EXIT_DONE


def _shown(node: Dialer, actor: str) -> dict[str, str]:
    """By file, since two of them may have one id, from two origins."""
    waiting = node.call("inbox", actor=actor, limit=LIST_ROWS_MAX)["waiting"]
    return {row["file"]: row["id"] for row in waiting if row["claimed_at"] is not None}


def replay(args: Any, out: Output) -> int:
    node: Dialer = args.node
    actor, ids = _split(args.id, node, "channel replay")
    for one in ids:
        node.call("replay", actor=actor, id=one)
    summary = f"{plural(len(ids), 'message')} back in {actor}'s inbox"
    out.answer("channel-replay", summary, {"actor": actor, "ids": ids})
    return EXIT_DONE


def forward_outbox(args: Any, out: Output) -> int:
    node: Dialer = args.node
    actor = node.actor_or_self(args.actor, "channel forward-outbox")
    data = node.call("forward_outbox", actor=actor)
    refused = data["refused_files"]
    summary = f"{plural(data['accepted'], 'message')} taken in from {actor}'s outbox"
    if refused:
        summary += f", {len(refused)} refused"

    def human() -> None:
        out.line(summary)
        for one in refused:
            out.line(f"  {visible(one['file'])}: {visible(one['message'])}")

    out.answer("channel-forward-outbox", summary, data, human)
    return EXIT_DONE
