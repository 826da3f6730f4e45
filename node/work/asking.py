"""What is typed on a sibling: the question goes to netsky0 as an envelope, and its answer comes back as one. Nothing is
started twice: netsky0 takes the question off its list in the end, and what it started bears the question's id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio
from netsky.node.bus.draft import Accepted
from netsky.node.client import error_from
from netsky.node.db import work_held
from netsky.node.errors import NetskyError, Refused, TimedOut, TryLater
from netsky.node.verbs.args import Args
from netsky.node.work import posting
from netsky.node.work.limits import ANSWER_BYTES_MAX, ASK_SECONDS
from netsky.relay.authority import ROOT

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node
    from netsky.node.db.work_held import Mail

POLL_NS = 3 * 10**9
"""Between two looks of who waits for a run from afar."""

ORDERS = frozenset({"run", "add", "wait", "ls", "show", "tree", "cancel", "retry", "note"})
"""What may be asked from afar."""


class Asking:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._waiting: dict[str, trio.MemorySendChannel[Mapping[str, Any]]] = {}

    # At a sibling.

    async def ask(self, order: str, who: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """netsky0's answer; raises what it refused with."""
        if order not in ORDERS:
            raise Refused(f"{order} is for netsky0 alone", next=f"on netsky0: netsky task {order}", code="not_the_root")
        if len(json.dumps(values)) > ANSWER_BYTES_MAX:
            raise TryLater("this is too large to be sent to netsky0", next="the same on netsky0", code="too_large")
        if order != "wait":
            return await self._once(order, who, values)
        time = self._node.seams.time
        until = time.monotonic() + round(float(values.get("wait_s", 0) or 0) * 1e9)
        while True:
            found = await self._once("wait", who, {"run": values.get("run")})
            if found["run"]["state"] in {"completed", "blocked"} or time.monotonic() >= until:
                return found
            await time.sleep_until(min(time.monotonic() + POLL_NS, until))

    async def _once(self, order: str, who: str, values: Mapping[str, Any]) -> dict[str, Any]:
        node = self._node
        key = f"ask/{node.seams.chance.token(8).hex()}"
        draft = posting.ask(order, {**values, "who": who}, ROOT, key)
        [sent] = await node.bus.accept(posting.AGENT, "node", [draft])
        if not isinstance(sent, Accepted):
            raise sent
        send, receive = trio.open_memory_channel[Mapping[str, Any]](1)
        self._waiting[sent.id] = send
        try:
            with trio.move_on_after(ASK_SECONDS):
                return _found(await receive.receive())
        finally:
            del self._waiting[sent.id]
        raise TimedOut(
            f"netsky0 did not answer within {ASK_SECONDS:g} s; it will, once there is a link",
            next=f"netsky trace {sent.id}, and netsky task ls",
            code="root_silent",
        )

    def answered(self, about: Mapping[str, Any]) -> None:
        waiting = self._waiting.get(str(about.get("asked")))
        if waiting is not None:
            waiting.send_nowait(about)

    # At netsky0.

    async def carry_out(self, letter: Mail, name: str, about: Mapping[str, Any]) -> None:
        """One question of a member."""
        said = await self._said(letter, name, about)
        draft = posting.answer(letter.sender, letter.id, said)
        [sent] = await self._node.bus.accept(posting.AGENT, "node", [draft])
        if isinstance(sent, NetskyError):
            self._node.log.event("work.answer_refused", level="warn", to=letter.sender, why=sent.message)
        await self._node.group.write([work_held.read([letter.seq])])

    async def _said(self, letter: Mail, name: str, about: Mapping[str, Any]) -> dict[str, Any]:
        order, values = about.get("verb"), about.get("args")
        if not isinstance(values, dict) or order not in ORDERS:
            return _error(Refused(f"{ascii(order)[:40]} is nothing that can be asked", next="netsky help work"))
        values = {key: value for key, value in values.items() if key != "who"}
        actor = str(about["args"].get("who", "")).partition("@")[0]
        who = f"{actor if actor.isalnum() else 'operator'}@{name}"  # the node is the one that sealed it
        cause = f"{letter.origin.hex()[:16]}/{letter.id}"
        try:
            data = await self._node.work.here(str(order), who, Args(str(order), values), cause)
        except NetskyError as refused:
            return _error(refused)
        if len(json.dumps(data)) > ANSWER_BYTES_MAX:
            return _error(TryLater("the answer is too large to be sent", next="ask for less", code="answer_too_large"))
        return {"ok": True, "data": data}


def _error(error: NetskyError) -> dict[str, Any]:
    return {
        "ok": False,
        "error": {"code": error.code, "exit": error.exit, "message": error.message, "next": error.next},
    }


def _found(about: Mapping[str, Any]) -> dict[str, Any]:
    if about.get("ok") is True and isinstance(about.get("data"), dict):
        data: dict[str, Any] = about["data"]
        return data
    raise error_from(about.get("error") or {})
