"""`netsky send`: through the node, or into the sender's own outbox where the node is down."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netsky.envelope.address import parse_address
from netsky.envelope.invalid import Invalid
from netsky.envelope.limits import TEXT_BYTES_MAX
from netsky.node.attaching import look_at, upload
from netsky.node.cli.attachments import progress
from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.cli.text import length
from netsky.node.client import CALL_SECONDS
from netsky.node.errors import EXIT_DONE, TryLater, Unreachable, Usage

if TYPE_CHECKING:
    from netsky.node.client import Client


def send(args: Any, out: Output) -> int:
    draft = _draft(args)
    node: Dialer = args.node
    sources = look_at(args.attach or ())
    try:
        client = node.client()
    except Unreachable as down:
        if sources:
            raise Unreachable(
                f"{down.message}: attachments need the running node", next=down.next, code=down.code
            ) from None
        if args.wait_outcome is not None:
            raise Unreachable(
                f"{down.message}; nothing was stored", next="netsky up; or leave --wait-outcome out", code=down.code
            ) from None
        return _into_outbox(draft, node, down, out)
    if sources:
        with progress(out) as shown:
            draft["attachments"] = upload(sources, client.call, shown)
    data = _send(client, draft, args.wait, out)
    twice = " (it was stored before, under the same key)" if data.get("duplicate") else ""

    def stored() -> None:
        out.line(data["id"] if out.quiet else f"stored {data['id']} for {draft['to']}{twice}")

    summary, more = f"{data['id']} stored for {draft['to']}{twice}", {}
    human: Callable[[], None] = stored
    if args.wait_outcome is not None:
        from netsky.node.cli.outcome import wait_outcome  # noqa: PLC0415 - most do not wait

        if not out.json:
            stored()
        more = {"outcome": wait_outcome(client, data["id"], args.wait_outcome, out)}
        summary, human = f"{data['id']} was delivered to {draft['to']}", lambda: out.notice("delivered")
    out.answer("send", summary, {"stored": "node", "to": draft["to"], **data, **more}, human)
    return EXIT_DONE


def _send(client: Client, draft: dict[str, Any], wait: float | None, out: Output) -> dict[str, Any]:
    """With patience, if asked: a person is told first what is waited for."""
    patient = draft | ({} if wait is None else {"wait_s": wait})
    seconds = CALL_SECONDS + (wait or 0)
    if not wait or not out.shows_progress:
        return client.request("send", patient, timeout=seconds)
    try:
        return client.request("send", draft)
    except TryLater as full:  # a refusal has stored nothing
        out.progress(f"{full.message} Waiting up to {length(wait)} …")
    try:
        return client.request("send", patient, timeout=seconds)
    finally:
        out.progress("")


def _draft(args: Any) -> dict[str, Any]:
    """The fields that were said, checked as far as that needs no node."""
    try:
        to = str(parse_address(args.address))
        sender = str(parse_address(getattr(args, "from"))) if getattr(args, "from") else None
    except Invalid as wrong:
        raise Usage(wrong.sentence, next="netsky help addresses", code=wrong.code) from None
    text = text_said(args.text)
    if not text and args.data is None and not args.attach:
        raise Usage(
            f"the message is empty: {'stdin held nothing' if args.text == '-' else 'TEXT has no letter'}",
            next="netsky send -h; something for programs alone goes with --data",
            code="empty_message",
        )
    draft = {
        "to": to,
        "from": sender,
        "text": text,
        "kind": args.kind,
        "in_reply_to": args.in_reply_to,
        "thread": args.thread,
        "idempotency_key": args.idempotency_key,
        "requires_ack": args.requires_ack or None,
        "data": args.data,
        "expires_in": args.expires,
    }
    return {name: value for name, value in draft.items() if value is not None}


def text_said(said: str) -> str:
    """The TEXT of a command, or what stands on stdin."""
    if said == "-":
        raw = sys.stdin.buffer.read(TEXT_BYTES_MAX + 2)
        if raw.endswith(b"\n") and len(raw) <= TEXT_BYTES_MAX + 1:
            raw = raw[:-1]
        where = "text: stdin"
    else:
        raw = os.fsencode(said)
        where = "text: TEXT"
    if len(raw) > TEXT_BYTES_MAX:
        raise Usage(
            f"{where} holds more than {TEXT_BYTES_MAX // 1024} KiB of UTF-8; a larger thing goes as a file: "
            "--attach FILE",
            next="netsky help limits",
            code="text_too_large",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Usage(
            f"{where} is not valid UTF-8 (byte {error.start})", next="convert it first: iconv -t utf-8", code="not_utf8"
        ) from None


def _into_outbox(draft: dict[str, Any], node: Dialer, down: Unreachable, out: Output) -> int:
    """The node takes it in when it is up again, with `from` forced to the owner of that outbox."""
    if down.code == "no_home":
        raise down
    actor = draft.pop("from", None) or node.inside_actor or _speaker(draft["to"], node)
    if actor is None:
        raise Unreachable(
            f"{down.message}; say who sends this, and it is kept until it does",
            next="netsky up; or repeat with --from ACTOR",
            code=down.code,
        )
    from netsky.node.cli.outbox import drop  # noqa: PLC0415 - the node is up nearly always

    name = drop(draft, actor, node)
    out.notice(f"the node is down; the message waits in {actor}'s outbox and is sent when it is up: netsky up")
    out.answer(
        "send",
        f"kept in {actor}'s outbox for {draft['to']}; the node is down",
        {"stored": "outbox", "to": draft["to"], "actor": actor, "file": name},
        lambda: out.line(name if out.quiet else f"kept {name}"),
    )
    return EXIT_DONE


def _speaker(to: str, node: Dialer) -> str | None:
    """Who the operator's shell speaks for when nobody was named, as the node decides it: the owner to agent0."""
    if not to.startswith("agent0"):
        return "agent0"
    return "owner" if os.path.isdir(node.home.channel("owner")) else None
