"""The numbers of the bus, each with its reason. What an operator may set stands in `netsky.node.limits`."""

from netsky.node.limits import WINDOWS_ENVELOPES

OUTBOX_ENVELOPES_MAX = 10_000
OUTBOX_BYTES_MAX = 256 << 20
"""Without an outcome, over all destinations: beyond it the sender hears of it and can decide. One destination may have
as many as are still free, half of all if it is the only one: however many are dead, there is room for one more."""

OUTBOX_REPLY_RESERVE = 1_000
OUTBOX_REPLY_RESERVE_BYTES = 32 << 20
"""An outbox that is full for work still takes so many of the reply lane, in all and for each destination."""

ESCAPED_BODY_BYTES_SAFE = 9 * 1024
"""Escaping makes six bytes of one at most: a smaller body always fits into a file, and need not be tried."""

ACCEPT_DRAFTS_MAX = 256
"""Drafts of one call: a group commit's worth."""

PROJECT_FILES = 128
"""Files written in one turn: enough to share what opening a folder costs, few enough to be seen soon."""

PROJECT_SYNC_NS = 100 * 10**6
"""Between two syncs of folders. Longer is cheaper; programs that get envelopes one by one wait so long for the next."""

PROJECT_MARKS = 2_048
"""Rows that may wait for their mark; a crash before it finds their files."""

PROJECT_YIELD = 32
"""Files written before other tasks get a turn: under a millisecond."""

FRESH_BYTES_MAX = 16 << 20
"""Committed envelopes kept in memory until they are projected; beyond it their rows are read back."""

RETRY_NS_MAX = 5 * 10**9
"""After failures the projector tries again in 1, 2, 4 … sweeps, and no later than this, or in the next sweep."""

SCAN = 4_096
"""Directory entries looked at in one turn: a folder of a million files costs no more than one of four thousand."""

INTAKE_FILES = 64
"""Outbox files taken from one actor before the next one has its turn."""

YOUNG_NS = 2 * 10**9
"""A file that cannot be read and was touched this shortly ago may still be being written: it is left for a moment."""

STRAY_AGE_NS = 600 * 10**9
"""A temporary older than this belongs to a writer that died."""

RECEIPTS_MAX = 1_000
"""Receipts of published consumers are left where they put them, the newest so many."""

SWEEP_MS = 250
"""Published consumers look at their folders this often; so do we."""

SWEEP_MS_MAX = 10_000
"""No longer: so long waits whoever moves files without a word to the node, and a disk that is full is seen as late."""

SWEEP_YIELD = 16
"""Actors' folders looked at before other tasks get a turn: under a millisecond."""

SWEEP_PAUSE_FACTOR = 20
"""After a sweep that took long, a pause this many times as long: looking at full folders costs a busy bus at most 5 %
of its time. What drains that talk to the node do is known without a look."""

SWEEP_PAUSE_NS_MAX = 2 * 10**9
"""But consumers that only move files wait no longer than this to be noticed."""

PRUNE_FILES = 256
"""Files removed in one turn: a few milliseconds of other tasks' time at most, spread over yields."""

CHECK_NAMES = 256
"""Names compared with their rows in one statement."""

PRUNE_SCAN = 200_000
"""Directory entries of one archive looked at in one turn: a month at one envelope every thirteen seconds."""

PRUNE_YIELD = 128
"""Files looked at before other tasks get a turn."""

INGRESS_RESERVE = 2 * 1_024
"""What may still come in over a link for an inbox that is full: all that is on its way within the windows granted."""

INGRESS_RESERVE_AT_ROOT = WINDOWS_ENVELOPES
"""The root has many links, whose windows share this: all of them may be full of envelopes for one of its actors."""
