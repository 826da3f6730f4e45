"""`send`: drafts in, ids out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from netsky.envelope.address import parse_address
from netsky.envelope.limits import ATTACHMENTS_MAX, EXPIRES_MAX_NS
from netsky.node.bus.draft import Accepted, Draft, Via
from netsky.node.daemon.told import TAKEN_SIGNAL
from netsky.node.errors import NetskyError, Refused, TimedOut, TryLater
from netsky.node.limits import GROUP_ITEMS_MAX, SEND_WAIT_SECONDS_MAX
from netsky.node.owner.answering import mark_answer
from netsky.node.verbs.args import Args
from netsky.node.verbs.blobs import attached

if TYPE_CHECKING:
    from netsky.node.daemon.caller import Caller
    from netsky.node.daemon.node import Node

_LOOK_NS = 250_000_000
"""Room comes when something is taken, expires or is deleted; not all of that rings a bell."""


@dataclass(slots=True)
class Spoken:
    sender: str
    draft: Draft


async def send(node: Node, caller: Caller, args: Args) -> dict[str, Any]:
    """One draft in the arguments, answered with its id or an error; or `drafts`, answered one by one."""
    wait = args.seconds("wait_s", 0, SEND_WAIT_SECONDS_MAX)
    given = args.objects("drafts", GROUP_ITEMS_MAX)
    if given is None:
        spoken = [draft_of(node, caller, args)]
    else:
        args.nothing_else()
        spoken = [draft_of(node, caller, Args("send", one)) for one in given]
    await _answers_to_asks(node, spoken)
    results = await _accept(node, caller, spoken)
    if wait:
        results = await _with_patience(node, caller, spoken, results, wait)
    if given is not None:
        return {"results": [_one(result) for result in results]}
    [result] = results
    if isinstance(result, NetskyError):
        raise result
    return accepted_data(result)


def draft_of(node: Node, caller: Caller, args: Args) -> Spoken:
    """The draft in these arguments and who speaks it. An actor speaks for itself alone."""
    to = args.text("to")
    sender = sender_of(node, caller, args.maybe_text("from"), to)
    expires = args.seconds("expires_in", 0, EXPIRES_MAX_NS / 10**9)
    draft = Draft(
        to=to,
        text=args.text("text"),
        kind=args.maybe_text("kind"),
        in_reply_to=args.maybe_text("in_reply_to"),
        thread=args.maybe_text("thread"),
        swarm=args.maybe_text("swarm"),
        idempotency_key=args.maybe_text("idempotency_key"),
        requires_ack=args.flag("requires_ack"),
        data=args.mapping("data"),
        attachments=attached(args.objects("attachments", ATTACHMENTS_MAX) or []),
        expires_in_ns=int(expires * 1e9) if expires else None,
        parent=args.maybe_text("parent"),
    )
    args.nothing_else()
    return Spoken(sender, draft)


def sender_of(node: Node, caller: Caller, named: str | None, to: str) -> str:
    """Who speaks to this address, if the caller named somebody or nobody."""
    if named is not None:
        address = parse_address(named)
        if address.node not in {None, node.identity.name}:
            raise Refused(f"{named} is not of this node, {node.identity.name}", next="netsky agent ls", code="not_you")
        named = address.actor
    if caller.actor is not None:
        if named not in {None, caller.actor}:
            raise Refused(
                f"you are {caller.actor} and cannot speak as {named}",
                next="leave --from out",
                code="not_you",
            )
        return caller.actor
    if named is not None:
        return named
    # The person at the root's shell is the owner, who speaks with agent0 alone; elsewhere the shell is agent0's.
    return "owner" if node.identity.root and parse_address(to).actor == "agent0" else "agent0"


async def _answers_to_asks(node: Node, spoken: list[Spoken]) -> None:
    """However the owner answers an ask, there is one answer."""
    for one in spoken:
        draft = one.draft
        if one.sender != "owner" or draft.kind != "reply" or draft.in_reply_to is None or node.owner is None:
            continue
        await mark_answer(node, node.owner, draft)


async def _accept(node: Node, caller: Caller, spoken: list[Spoken]) -> list[Accepted | NetskyError]:
    """In the order given; neighbours of one sender in one call."""
    via: Via = "operator" if caller.is_operator else "actor"
    results: list[Accepted | NetskyError] = []
    while len(results) < len(spoken):
        sender = spoken[len(results)].sender
        together: list[Draft] = []
        for one in spoken[len(results) :]:
            if one.sender != sender:
                break
            together.append(one.draft)
        answers = await node.bus.accept(sender, via, together)
        for draft, answer in zip(together, answers, strict=True):
            if isinstance(answer, Accepted):
                tell_accepted(node, draft, sender, via, answer)
        results += answers
    return results


def tell_accepted(node: Node, draft: Draft, sender: str, via: Via, answer: Accepted) -> None:
    """An event for whoever listens; a second answer to the same is none."""
    if not answer.duplicate:
        facts = {"id": answer.id, "from": sender, "to": draft.to, "message_kind": draft.kind or "text"}
        node.events.publish("accepted", **facts, via=via)


async def _with_patience(
    node: Node, caller: Caller, spoken: list[Spoken], results: list[Accepted | NetskyError], wait: float
) -> list[Accepted | NetskyError]:
    """Offers again what was refused for want of room, until it fits or the time is over. Refusals store nothing."""
    time = node.seams.time
    until = time.monotonic() + int(wait * 1e9)
    heard = node.signals.count(TAKEN_SIGNAL)
    while full := [at for at, result in enumerate(results) if isinstance(result, TryLater)]:
        if time.monotonic() >= until:
            for at in full:
                refused = results[at]
                assert isinstance(refused, TryLater)
                said = f"{refused.message} (waited {wait:g} s for room)"
                results[at] = TimedOut(said, next=refused.next, code=refused.code)
            break
        with trio.move_on_after(min(until - time.monotonic(), _LOOK_NS) / 1e9):
            await node.signals.wait_beyond(TAKEN_SIGNAL, heard)
        heard = node.signals.count(TAKEN_SIGNAL)
        again = await _accept(node, caller, [spoken[at] for at in full])
        for at, result in zip(full, again, strict=True):
            results[at] = result
    return results


def accepted_data(accepted: Accepted) -> dict[str, Any]:
    return {
        "id": accepted.id,
        "origin": accepted.origin.hex(),
        "leaf": accepted.leaf.hex(),
        "clock": accepted.clock,
        "duplicate": accepted.duplicate,
        "file": accepted.file,
        "destination": accepted.destination.hex(),
        "skewed": accepted.skewed,
    }


def _one(result: Accepted | NetskyError) -> dict[str, Any]:
    if isinstance(result, NetskyError):
        said = {"code": result.code, "exit": result.exit, "message": result.message, "next": result.next}
        return {"ok": False, "error": said}
    return {"ok": True, "data": accepted_data(result)}
