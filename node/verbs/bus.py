"""Verbs of an actor's channel: what waits, claiming, taking, giving back, reading again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.envelope.file import parse_file_name
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.db import arrivals, inbox, observe
from netsky.node.errors import Conflict, Refused, TryLater, Usage
from netsky.node.limits import GROUP_ITEMS_MAX, LIST_ROWS_MAX

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node
    from netsky.node.verbs.args import Args


def channel_of(node: Node, caller: Caller, named: str | None) -> str:
    """The actor whose channel is meant. An actor has one: its own."""
    if named is None:
        if caller.actor is None:
            raise Usage("say which actor is meant", next="netsky agent ls", code="no_actor")
        return caller.actor
    address = parse_address(named)
    if address.node not in {None, node.identity.name}:
        raise Usage(f"{named} is not of this node", next="netsky agent ls", code="not_here")
    if caller.actor not in {None, address.actor}:
        raise Refused(
            f"you are {caller.actor}; the channel of {address.actor} is not yours", next="leave it out", code="not_you"
        )
    node.actors.row(address.actor)
    return address.actor


async def claim(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """A drain has these files in hand. For each: "ok", "taken" (said before), "unknown" (no row of it) or "kept" (not
    handed out for now, because this node is halted or cut off from netsky0)."""
    actor = channel_of(node, caller, args.maybe_text("actor"))
    files = args.texts("files", GROUP_ITEMS_MAX)
    args.nothing_else()
    may = node.halt.hands_out
    states = await _kept(node, actor, files, may)
    wanted = [name for name in files if name not in states]
    with suppress(TryLater):  # a full disk: reading needs no room, and where the file stands says who has it
        [claimed] = await node.group.write([inbox.claim(actor, wanted, node.now())])
        states |= dict.fromkeys(inbox.claimed_files(claimed), "ok")
    for place in await _places(node, actor, [name for name in wanted if name not in states]):
        states[place.file] = "taken" if place.state == "taken" else "ok"
    if node.halt.hands_out not in {may, "all"}:  # it was halted, or cut off, while this was stored
        kept = await _kept(node, actor, wanted, node.halt.hands_out)
        await node.group.write([inbox.release(actor, list(kept))])
        states |= kept
    answer = {"actor": actor, "files": {name: states.get(name, "unknown") for name in files}}
    return answer | ({"kept": node.halt.why_kept()} if "kept" in states.values() else {})


async def _kept(node: Node, actor: str, files: list[str], may: inbox.Handing) -> dict[str, str]:
    if may == "all" or not files:
        return {}
    [found] = await node.group.read([inbox.kept_back(actor, files, may)])
    return dict.fromkeys(inbox.claimed_files(found), "kept")


async def release(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Given back: as if never claimed."""
    actor = channel_of(node, caller, args.maybe_text("actor"))
    files = args.texts("files", GROUP_ITEMS_MAX)
    args.nothing_else()
    await node.group.write([inbox.release(actor, files)])
    return {"actor": actor, "files": files}


async def ack(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """The consumer has them. Ids or file names; those taken before count as taken. Durable when it returns."""
    actor = channel_of(node, caller, args.maybe_text("actor"))
    asked = args.texts("ids", GROUP_ITEMS_MAX)
    args.nothing_else()
    files = [one for one in asked if parse_file_name(one) is not None]
    ids = [one for one in asked if parse_file_name(one) is None] if len(files) < len(asked) else []
    named = await _named(node, actor, ids)
    known = {one.id for one in named}
    files += [one.file for one in named if one.state != "taken"]
    [found] = await node.group.write([inbox.take_files(actor, files, node.now(), "ack")])
    taken = inbox.taken_rows(found)
    new = [row.id for row in taken]
    known |= {row.file for row in taken}
    known |= {place.file for place in await _places(node, actor, [file for file in files if file not in known])}
    if ids or new:
        node.bus.acked(actor)
    if new:
        node.signals.ring(TAKEN_SIGNAL)
        node.events.publish("taken", actor=actor, ids=new, by="ack")
    return {
        "actor": actor,
        "taken": [one for one in asked if one in known],
        "unknown": [one for one in asked if one not in known],
        "new": new,
    }


async def _named(node: Node, actor: str, ids: list[str]) -> list[arrivals.Place]:
    """Whatever is here under these ids. Two origins may use one id, and who took one envelope has not taken the other:
    then only the file says which is meant."""
    if not ids:
        return []
    [found] = await node.ledger.transaction([arrivals.places_of_ids(actor, ids)])
    places = arrivals.place_rows(found)
    waiting: dict[str, list[str]] = {}
    for place in places:
        if place.state != "taken":
            waiting.setdefault(place.id, []).append(place.file)
    for id, files in waiting.items():  # noqa: A001 - the envelope's word
        if len(files) > 1:
            raise Conflict(
                f"{len(files)} messages of {actor} have the id {id}, from different nodes",
                next="say which by its file: " + " or ".join(f"netsky channel ack {actor} {file}" for file in files),
                code="id_used_twice",
            )
    return places


async def _places(node: Node, actor: str, files: list[str]) -> list[arrivals.Place]:
    """Where those stand that a claim or an ack did not change: taken before, or never here. Mostly there are none."""
    if not files:
        return []
    [found] = await node.ledger.transaction([arrivals.places_of_files(actor, files)])
    return arrivals.place_rows(found)


async def inbox_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """What waits for one actor; without one, for the operator, how much waits for each."""
    named = args.maybe_text("actor")
    limit = args.whole("limit", 100, 1, LIST_ROWS_MAX)
    args.nothing_else()
    if named is None and caller.is_operator:
        return {"channels": await channel_counts(node)}
    actor = channel_of(node, caller, named)
    [found] = await node.ledger.transaction([inbox.waiting(actor, limit)])
    waiting = [
        {
            "id": row.id,
            "origin": row.origin.hex(),
            "from": row.sender,
            "kind": row.kind,
            "file": row.file,
            "state": row.state,
            "stored_at": row.stored_at,
            "projected_at": row.projected_at,
            "claimed_at": row.claimed_at,
        }
        for row in inbox.waiting_rows(found)
    ]
    return {"actor": actor, "waiting": waiting}


async def channel_counts(node: Node) -> list[dict[str, Any]]:
    counts, put_away = await node.ledger.transaction([inbox.counts(), observe.quarantine_counts()])
    by_actor = {row[0]: row for row in counts}
    quarantined = dict(arrivals.pairs(put_away))
    channels = []
    for name in sorted({str(actor["name"]) for actor in node.actors.states()} | {str(name) for name in by_actor}):
        _, waiting, claimed, oldest = by_actor.get(name, (name, 0, 0, None))
        channels.append(
            {
                "actor": name,
                "waiting": waiting,
                "claimed": claimed,
                "oldest": oldest,
                "quarantined": quarantined.get(name, 0),
            }
        )
    return channels


async def quarantine_ls(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """What was refused, newest first: of one actor, or for the operator of all."""
    named = args.maybe_text("actor")
    limit = args.whole("limit", 100, 1, LIST_ROWS_MAX)
    args.nothing_else()
    actor = None if named is None and caller.is_operator else channel_of(node, caller, named)
    [found] = await node.ledger.transaction([observe.quarantine(actor, limit)])
    files = [
        {
            "at": row.at,
            "actor": row.actor,
            "name": row.name,
            "reason": row.reason,
            "sentence": row.sentence,
            "size": row.size,
        }
        for row in observe.quarantine_rows(found)
    ]
    return {"files": files}


async def replay(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Puts one envelope that was taken back into its inbox."""
    named = args.maybe_text("actor")
    id = args.text("id")  # noqa: A001 - the envelope's word
    args.nothing_else()
    actor = channel_of(node, caller, named)
    file = await node.bus.replay(actor, id)
    return {"actor": actor, "id": id, "file": file}


async def forward_outbox(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """Takes an actor's outbox in now, instead of at the next sweep."""
    actor = channel_of(node, caller, args.maybe_text("actor"))
    args.nothing_else()
    accepted, refused = await node.bus.forward_outbox(actor)
    return {
        "actor": actor,
        "accepted": len(accepted),
        "refused": len(refused),
        "accepted_files": accepted,
        "refused_files": refused,
    }
