"""`netsky wait`: until the node answers or is gone, until an envelope was taken or answered."""

from __future__ import annotations

import select
from typing import Any

from netsky.node.cli.dial import Dialer
from netsky.node.cli.output import Output
from netsky.node.errors import EXIT_DONE, TimedOut, Unreachable, Usage
from netsky.node.seams.real import RealTime

_DEFAULT_SECONDS = 60.0
_POLL_SECONDS = 0.1


def wait(args: Any, out: Output) -> int:
    limit = _DEFAULT_SECONDS if args.timeout is None else args.timeout
    what = args.what
    if what in ("ready", "down"):
        if args.id is not None:
            raise Usage(f"netsky wait {what} takes no ID", next=f"netsky wait {what}")
        return _until_node(what, limit, args.node, out)
    if what not in ("outcome", "taken", "reply"):
        raise Usage(f"cannot wait for {what!r}; there are ready, down, outcome, taken and reply", next="netsky wait -h")
    if args.id is None:
        raise Usage(f"netsky wait {what}: say which envelope", next=f"netsky wait {what} ID")
    return _until_envelope(what, args.id, limit, args.node, out)


def _until_node(what: str, limit: float, node: Dialer, out: Output) -> int:
    """Asked again and again: a node that is down cannot tell when it is up."""
    time = RealTime()
    started = time.monotonic()
    until = started + int(limit * 10**9)
    while not _is(what, node):
        left = (until - time.monotonic()) / 10**9
        if left <= 0:
            failed = "the node did not answer" if what == "ready" else "the node still answers"
            raise TimedOut(f"{failed} within {limit:g} s", next="netsky doctor" if what == "ready" else "netsky status")
        select.select([], [], [], min(_POLL_SECONDS, left))
    waited = (time.monotonic() - started) / 10**9
    said = "the node answers" if what == "ready" else "the node is down"
    out.answer("wait", said, {"what": what, "waited_seconds": round(waited, 3)})
    return EXIT_DONE


def _is(what: str, node: Dialer) -> bool:
    try:
        is_ready = bool(node.call("ping")["ready"])
    except (Unreachable, TimedOut):
        return what == "down"
    finally:
        node.close()
    return what == "ready" and is_ready


def _until_envelope(what: str, envelope: str, limit: float, node: Dialer, out: Output) -> int:
    client = node.client()
    if what == "outcome":
        from netsky.node.cli.outcome import wait_outcome  # noqa: PLC0415

        found = wait_outcome(client, node.full_id(envelope), limit, out)
        out.answer("wait", f"{found['id']} was delivered", {"what": what, **found})
        return EXIT_DONE
    found = client.request("wait", {"what": what, "id": node.full_id(envelope), "timeout": limit}, timeout=limit + 10)
    if what == "taken":
        out.answer("wait", f"{found.get('id', envelope)} was taken", {"what": what, **found})
        return EXIT_DONE
    from netsky.node.cli.envelope_text import print_envelope  # noqa: PLC0415

    reply = found["reply"] or {"text": "(its bytes are pruned)"}
    said = f"{reply.get('from', 'somebody')} answered"
    out.answer("wait", said, {"what": what, **found}, lambda: print_envelope(reply, out))
    return EXIT_DONE
