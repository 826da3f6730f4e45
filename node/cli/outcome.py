"""Waiting for what becomes of an envelope, with a line that says how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsky.node.cli.output import Output
from netsky.node.errors import NetskyError, TimedOut
from netsky.node.seams.real import RealTime

if TYPE_CHECKING:
    from netsky.node.client import Client

_STAGES = {
    "queued": "waits here for the link",
    "attaching": "waits here until the next node has its attachments",
    "held": "held here: what is for its node is full at netsky0",
    "numbered": "on its way",
    "at_root": "stored at netsky0, which passes it on",
    "stored": "stored there; its word is on the way back",
}
_ENDED = "ended"
_GRACE_SECONDS = 10.0


def wait_outcome(client: Client, id: str, limit: float, out: Output) -> dict[str, Any]:  # noqa: A002 - the envelope's word
    """That it was delivered. Raises NetskyError with the reason if it was not, TimedOut if nobody knows yet."""
    time = RealTime()
    until = time.monotonic() + int(limit * 1e9)
    said, stage = "has no outcome yet", _ENDED  # beyond the end there is nothing: the first answer comes at once
    try:
        while True:
            left = max(0.0, (until - time.monotonic()) / 1e9)
            asked = {"what": "outcome", "id": id, "timeout": left, "beyond": stage}
            found = client.request("wait", asked, timeout=left + _GRACE_SECONDS)
            stage = str(found["stage"])
            if stage == _ENDED:
                return _delivered(found)
            said = _STAGES.get(stage, stage)
            out.progress(f"{id} {said} …")
    except TimedOut:
        raise TimedOut(
            f"{id} has no outcome after {limit:g} s: {said}; it is kept and goes on", next=f"netsky wait outcome {id}"
        ) from None
    finally:
        out.progress("")


def _delivered(found: dict[str, Any]) -> dict[str, Any]:
    if found["fate"] == "delivered":
        return found
    what = "may or may not have arrived" if found["fate"] == "in_doubt" else "was not delivered"
    raise NetskyError(
        f"{found['id']} {what}: {found['reason']}",
        next=f"{found['next']}; netsky dead show {found['id']}",
        code=found["code"],
    )
