"""How much one peer may have on its way to us: a share of what this node can take from all of them."""

from __future__ import annotations

from netsky.mesh.limits import WINDOW_BYTES, WINDOW_ENVELOPES
from netsky.node.limits import WINDOW_LEAST_BYTES, WINDOW_LEAST_ENVELOPES, WINDOWS_BYTES, WINDOWS_ENVELOPES

LANES = 2


def windows(links: int) -> tuple[int, int]:
    """Envelopes and bytes for each lane of each of so many links."""
    shares = LANES * max(1, links)
    return (
        max(WINDOW_LEAST_ENVELOPES, min(WINDOW_ENVELOPES, WINDOWS_ENVELOPES // shares)),
        max(WINDOW_LEAST_BYTES, min(WINDOW_BYTES, WINDOWS_BYTES // shares)),
    )
