"""The numbers of the blob store, each with its reason."""

CHUNK_BYTES = 256 * 1024
"""Read, hashed and written at once: under half a millisecond, and no call is faster with more."""

SETTLE_BYTES = 32 << 20
"""Written between two syncs of a blob that grows: what a power cut costs at most, and what a sync can do in the time
that the next bytes take."""

KEPT_UNNAMED_NS = 3600 * 10**9
"""A blob that no row names is kept so long after somebody was told that it is here: its envelope is on the way."""

PARTS_KEPT_NS = 24 * 3600 * 10**9
"""A beginning that nobody went on with: a laptop sleeps over night."""

ASIDE_BYTES_MAX = 16 << 30
"""Of one source, and named by no envelope yet: the attachments of the largest one."""

OPEN_MAX = 64
"""Beginnings that are open for writing at once; what was not used for longest is closed and found again."""

COLLECT_ROWS = 100
"""Removed in one turn: a large file takes the file system a millisecond."""

SCAN = 4_096
"""Directory entries looked at in one folder."""
