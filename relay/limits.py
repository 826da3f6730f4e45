"""The numbers of the relay, each with its reason."""

QUEUE_ENVELOPES_MAX = 10_000
QUEUE_BYTES_MAX = 256 << 20
"""For one destination; beyond it the root asks all origins to hold what is for it."""

SHARE = 4
"""One origin may fill a quarter of a queue: three floods leave room for a fourth who is honest."""

RESUME = 2
"""A hold ends at half the mark, so that it does not flutter."""

RESERVE_ENVELOPES = 20_000
RESERVE_BYTES = 64 << 20
"""What still fits above the mark: as much as all windows together grant, so that what is on its way always fits."""

QUANTUM_BYTES = 64 * 1024
"""What one origin may send in its turn: a frame of ordinary envelopes, or one of the largest in two turns."""

ORIGINS_MAX = 64
"""Queues looked at for one pick; the others have their turn in the next."""

ROUTES_MAX = 256
"""Lines under [routes]: what a person can oversee."""
