"""Why envelopes die, as sentences: for the error that their sender gets, and for `netsky dead`."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    "ack_unasked": (
        "it answers what this node did not send, or acknowledges what it did not want acknowledged",
        "netsky trace ID on the node that it came from",
    ),
    "address": ("the address names a node with another key", "netsky nodes, then send it to the right one"),
    "attachment_lost": (
        "a file that belongs to it is gone or damaged on the node that had it",
        "send it again with --attach",
    ),
    "attachment_missing": ("a file that belongs to it had not arrived there", "send it again with --attach"),
    "authority": (
        "the authority table does not let it pass, and no line under [routes] of the root does",
        "netsky help trust, or ask the owner for a line under [routes] in the config of netsky0",
    ),
    "body_too_large": ("it does not fit into a file of an inbox", "send the larger part as an attachment"),
    "damaged": ("it arrived damaged three times under the same number", "send it again"),
    "dest_full": ("the queue for that node was full in spite of the hold", "send it again when the hold has ended"),
    "dest_replaced": ("that node was enrolled anew with another key", "send it again"),
    "dest_revoked": ("that node no longer belongs to the mesh", "netsky nodes shows who does"),
    "dest_unknown": ("the root knows no node with that key", "netsky nodes shows who belongs to the mesh"),
    "expired": ("it expired before it could be delivered", "send it again, with a later --expires if it may wait"),
    "expires_range": ("its end lies more than 30 days ahead: the clock of its node is wrong", "set the clock there"),
    "inbox_full": ("the inbox of that actor is full", "send it again when the actor has taken some"),
    "other_content": (
        "another envelope with the same id was there before: this node was put back, and took a file in twice",
        "netsky trace ID there; then send it again, if it did not arrive",
    ),
    "restored": ("a node was put back from a backup and may have lost it", "send it again if it still matters"),
    "unknown_actor": ("there is no such actor on that node", "netsky trace ID; then send it to one that exists"),
}


def reason(code: str) -> tuple[str, str]:
    """The sentence and the next step for a code; a code of a newer node is shown as it is."""
    return REASONS.get(code, (f"the node that ended it said {code!r}", "netsky trace ID"))
