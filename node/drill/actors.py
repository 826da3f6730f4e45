"""Two drills with the program of an actor: a planned restart with a handoff, and a crash."""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from netsky.node.client import Client
from netsky.node.drill.proof import Proof
from netsky.node.errors import Conflict, NetskyError, TimedOut
from netsky.node.handoff.limits import TRIES_MAX
from netsky.node.up import is_there

BACK_SECONDS = 30.0
"""For a program that was killed to run again: it is started within a moment."""

_POLL_SECONDS = 0.1

HANDOFF = "DRILL: this is a test of restarts. Nothing is to be done; go on with what your inbox holds."


def check_in_hand(node: Client, actor: str, *, sure: bool) -> dict[str, Any]:
    """The actor as it is. Conflict where a drill would interrupt work and nobody has said that it may."""
    found = state_of(node, actor)
    if found["mode"] == "none":
        raise Conflict(f"no program runs for {actor}", next=f"netsky agent add {actor} -- PROGRAM", code="no_program")
    in_hand = [one for one in node.call("inbox", actor=actor)["waiting"] if one["claimed_at"] is not None]
    if in_hand and not sure:
        count = "1 message" if len(in_hand) == 1 else f"{len(in_hand)} messages"
        raise Conflict(
            f"{actor} has {count} in hand, and the drill ends its program in the middle of that",
            next="wait until it is done, or the same with --yes",
            code="work_in_hand",
        )
    return found


def restart(node: Client, actor: str, proof: Proof, *, within: float) -> None:
    """A planned restart with a handoff."""
    before = state_of(node, actor)
    held = _ids(node, actor)
    proof.will(f"end the program of {actor} in order, start another one and hand it a text that says DRILL")
    asked = node.call("restart_actor", actor=actor, handoff=HANDOFF, reason="a drill", within=within)
    proof.that(asked["state"] == "written", f"the intent is stored before anything is ended (restart {asked['id']})")
    seconds = TRIES_MAX * (within + 60)
    try:
        found = node.request("handoff_wait", {"id": asked["id"], "timeout": seconds}, timeout=seconds + 10)
    except TimedOut as late:
        proof.need(False, "the new life proves itself", late.message)
        return
    proof.need(found["state"] == "proved", "the new life proves itself", found["said"])
    now = state_of(node, actor)
    if before["pid"] is not None:
        proof.that(not is_there(before["pid"]), f"the old life is over (process {before['pid']})")
    if now["mode"] == "resident":
        proof.that(now["pid"] not in (None, before["pid"]), f"one other runs in its place (process {now['pid']})")
    proof.that(found["envelope"] is not None, f"the handoff came to it as {found['envelope']}: {found['said']}")
    proof.that(found["tries"] == 1, "at the first try", f"{found['tries']} lives were begun")
    _nothing_lost(node, actor, held, proof)
    proof.that(not found["open"], "the intent is cleared, now that it is proved")


def crash(node: Client, actor: str, proof: Proof) -> None:
    """Its program dies and comes back by itself."""
    held = _ids(node, actor)
    before = state_of(node, actor)
    proof.will(f"kill the program of {actor} with SIGKILL and see it come back")
    if before["mode"] == "per_envelope" and before["pid"] is None:
        proof.left_out(f"{actor} is started for each envelope, and has none just now")
        return
    began = node.call("query", sql="SELECT coalesce(max(id), 0) FROM crashes")["rows"][0][0]
    killed = node.call("agent_kill", actor=actor)["pid"]
    proof.need(killed is not None, "its program ran", f"it is {before['state']}")
    back = until(lambda: _other(node, actor, killed), BACK_SECONDS)
    proof.that(not is_there(killed), f"it was killed (process {killed})")
    said = f"it came back by itself (process {back['pid'] if back and back['pid'] else 'none needed'})"
    proof.need(back is not None, said, f"not within {BACK_SECONDS:g} s: {state_of(node, actor)['reason']}")
    if before["mode"] == "resident":
        sql = f"SELECT count(*) FROM crashes WHERE id > {int(began)} AND task LIKE 'actor {actor}/%'"  # noqa: S608
        told = until(lambda: node.call("query", sql=sql)["rows"][0][0], BACK_SECONDS)
        proof.that(bool(told), "the crash stands in the rows")
    _nothing_lost(node, actor, held, proof)
    proof.that(state_of(node, actor)["state"] != "degraded", "one crash is no crash loop")


def state_of(node: Client, actor: str) -> dict[str, Any]:
    actors: list[dict[str, Any]] = node.call("agent_ls")["actors"]
    for found in actors:
        if found["name"] == actor:
            return found
    raise Conflict(f"there is no actor {actor} on this node", next="netsky agent ls", code="unknown_actor")


def _ids(node: Client, actor: str) -> list[str]:
    """What it has not taken, oldest first."""
    return [str(one["id"]) for one in node.call("inbox", actor=actor)["waiting"]]


def _nothing_lost(node: Client, actor: str, held: list[str], proof: Proof) -> None:
    waits = set(_ids(node, actor))
    lost = [one for one in held if one not in waits and not _is_taken(node, one)]
    count = len(held)
    what = "nothing waited" if not count else f"what waited is still there or was taken since ({count})"
    proof.that(not lost, what, f"nobody has {', '.join(lost[:3])}")


def _is_taken(node: Client, envelope: str) -> bool:
    with suppress(NetskyError):
        node.call("wait", what="taken", id=envelope, timeout=0.5)
        return True
    return False


def _other(node: Client, actor: str, killed: int) -> dict[str, Any] | None:
    found = state_of(node, actor)
    if found["mode"] == "per_envelope":
        return found if found["state"] in ("idle", "running") else None
    return found if found["state"] == "running" and found["pid"] not in (None, killed) else None


def until(look: Callable[[], Any], seconds: float) -> Any:
    """What it gives once it gives something; the last answer, which is nothing, when the time is over."""
    for _ in range(max(1, round(seconds / _POLL_SECONDS))):
        if found := look():
            return found
        select.select([], [], [], _POLL_SECONDS)
    return look()
