"""`status`: what this node is, what it does, what waits, and what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from netsky.node.bus.folders import replaced
from netsky.node.db import dead_letters, invites, links, outbox
from netsky.node.links.trouble import troubles
from netsky.node.verbs.bus import channel_counts
from netsky.node.version import program_version
from netsky.node.watch.watchdog import quiets_shown

REFUSED_MAX = 100
"""Counters of what was refused, the latest: more is a query."""

if TYPE_CHECKING:
    from netsky.mesh.transport import Transport
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Fault, Node
    from netsky.node.seams.ledger import Row
    from netsky.node.verbs.args import Args


async def status(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Everything for the operator; for an actor who is here, and whether the node is well."""
    args.nothing_else()
    counts = {channel["actor"]: channel for channel in await channel_counts(node)}
    actors = [_actor(state, counts.get(str(state["name"]), {})) for state in node.actors.states()]
    identity = node.identity
    common = {
        "name": identity.name,
        "label": node.membership.label or node.config.label,
        "root": identity.root,
        "fingerprint": identity.fingerprint,
        "version": program_version(),
        "ready": node.is_ready,
        "halted": node.halt.shown(),
        "uptime_ns": node.seams.time.monotonic() - node.started_monotonic,
        "you": caller.name,
    }
    delivery = await delivery_of(node)
    wrong = [*faults(node), *mesh_faults(node, delivery)]
    if not caller.is_operator:
        shown = ("name", "mode", "state")
        return common | {
            "actors": [
                {name: actor[name] for name in (actor if actor["name"] == caller.actor else shown)} for actor in actors
            ],
            "faults": len(wrong),
        }
    return common | {
        "home": node.home.path,
        "key": identity.key.hex(),
        "mesh": identity.mesh.hex() if any(identity.mesh) else "",
        "pid": node.pid,
        "started_at": node.started_at,
        "after_crash": node.opened.after_crash,
        "actors": actors,
        "cut_off": node.halt.cut.shown(),
        "fence": node.actors.fence,
        "fence_missing": node.actors.fence_missing,
        **delivery,
        "network": None if (network := _network(node)) is None else network.describe(),
        "ledger": dict(node.settings),
        "commits": asdict(node.group.statistics()),
        "faults": wrong,
        "crashes": node.crashes.count,
        "tasks": node.tree.states(),
        "quiet": quiets_shown(node.watchdog, node.seams.time.monotonic()),
        "tick": None if node.ticker.latest is None else node.ticker.latest.data(),
        "sockets": node.control.paths,
        "log": node.home.node_log,
    }


async def delivery_of(node: Node) -> dict[str, Any]:
    """What goes out, what comes in, and what did not: links, outbox, holds, dead letters, refusals."""
    pending, letters, frozen, refused, strangers = await node.ledger.transaction(
        [
            outbox.pending(),
            dead_letters.counts(),
            links.frozen(),
            links.refused_counts(REFUSED_MAX),
            invites.strangers_total(),
        ]
    )
    waiting = outbox.pending_rows(pending)
    [(listed, unseen, unseen_since)] = letters
    [(keys, last)] = strangers
    holds = [] if node.links is None else node.links.held_since()
    held = {hold["name"] for hold in holds}
    return {
        "outbox": [
            {"to": node.called(row.destination), "envelopes": row.envelopes, "open": row.open}
            | {
                "numbered": row.numbered,
                "acked": row.acked,
                "attaching": row.attaching,
                "bytes": row.bytes,
                "oldest": row.oldest,
            }
            | {"held": node.called(row.destination) in held}
            for row in waiting
        ],
        "lag_ns": max(0, node.now() - waiting[0].oldest) if waiting else None,
        "links": [] if node.links is None else _links(node, frozen),
        "holds": holds,
        "dead": {"listed": listed, "unseen": unseen, "unseen_since": unseen_since},
        "refused": [
            {"peer": node.called(cast("bytes", peer)), "code": code, "count": count, "last": at}
            for peer, code, count, at in refused
        ],
        "turned_away": {"keys": keys, "last": last},
    }


def _links(node: Node, frozen: list[Row]) -> list[dict[str, Any]]:
    """Frozen is what the rows say, so that it shows while the link is down, too."""
    assert node.links is not None
    found = node.links.status()
    for row in found:
        for peer, lane, direction, code in frozen:
            if node.called(cast("bytes", peer)) == row["name"]:
                row["frozen"].setdefault(f"{lane!s} {direction!s}", str(code))
    return found


def mesh_faults(node: Node, delivery: dict[str, Any]) -> list[dict[str, str]]:
    found = troubles(delivery["links"], delivery["holds"], node.identity.root, node.now())
    unseen = delivery["dead"]["unseen"]
    if unseen:
        one = unseen == 1
        sentence = f"{unseen} dead letter{'' if one else 's'} that nobody has looked at"
        found.append(("dead_letters", sentence, "netsky dead ls"))
    return [{"code": code, "sentence": sentence, "next": step} for code, sentence, step in found]


def _actor(state: dict[str, Any], channel: dict[str, Any]) -> dict[str, Any]:
    return state | {
        "waiting": channel.get("waiting", 0),
        "claimed": channel.get("claimed", 0),
        "oldest": channel.get("oldest"),
        "quarantined": channel.get("quarantined", 0),
    }


def _network(node: Node) -> Transport | None:
    return None if node.links is None else node.links.transport


def faults(node: Node) -> list[Fault]:
    """What is wrong now, each with the next step. An empty list is a healthy node."""
    found: list[Fault] = []

    def add(code: str, sentence: str, next: str) -> None:  # noqa: A002 - the word in the answer
        found.append({"code": code, "sentence": sentence, "next": next})

    if node.live_config.fault is not None:
        add("config", f"{node.live_config.fault}; the last good version is in force", f"correct {node.home.config}")
    if node.group.slow:
        add("disk_slow", "the last commit took a second or more", "look at what else uses this disk")
    low = node.bus.planner.door.disk_low
    if low is not None:
        add("disk_low", low, "free some space on the node's disk; nothing else is needed")
    if node.bus.projector.fault is not None:
        add("projection", node.bus.projector.fault, f"look into {node.home.channels}")
    for path, sentence in node.bus.sweep.faults.items():
        add("channel", f"{path} is not used: {sentence}", "put the folder itself back there; nothing else is needed")
    for actor in node.actors.states():
        for path, kept in replaced(node.seams.files, node.home.channels, str(actor["name"])).items():
            sentence = f"{path} was replaced; a new folder stands there, and what took its place is {kept}"
            add("folder_replaced", sentence, f"look at {kept} (files may be missing from the folder), then delete it")
    if node.log.lost:
        add("log", f"{node.log.lost} lines of the log could not be written", f"look at {node.home.logs}")
    for actor in node.actors.states():
        if actor["state"] == "degraded":
            name = str(actor["name"])
            sentence = f"{name} was given up: {actor['reason']} (its words: netsky agent logs {name})"
            add("actor", sentence, f"netsky restart {name}")
    found += [fault for complain in node.complaints for fault in complain()]
    return found + _network_faults(node)


def _network_faults(node: Node) -> list[Fault]:
    network = _network(node)
    next_ = f"look at [link] in {node.home.config}; netsky help network"
    troubles = [] if network is None else network.troubles()
    return [{"code": "network", "sentence": sentence, "next": next_} for sentence in troubles]
