"""Attachments at the door: whoever names a blob has brought it here before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netsky.node.bus.draft import Offer
from netsky.node.errors import NotFound


def blobs_of(items: Sequence[Offer]) -> list[bytes]:
    """The hashes that these name."""
    return list({one.sha256 for item in items for one in item.body.attachments})


def check_attachments(offer: Offer, held: Mapping[bytes, int]) -> None:
    """`held`: blobs that are here, with their sizes. An envelope is never accepted without what belongs to it."""
    for one in offer.body.attachments:
        if held.get(one.sha256) != one.size:
            raise NotFound(
                f"the attachment {one.name!r} is not in this node's store",
                next="send it with --attach FILE",
                code="attachment_unknown",
            )
