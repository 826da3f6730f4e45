"""The numbers of meta.db, each with its reason."""

STATEMENTS_CACHED = 512
"""More than all statements of this package: none is parsed twice."""

CACHE_KIB = 8 * 1024
"""The hot ends of tables and indexes stay in memory; an idle daemon stays small."""

WAL_PAGES = 1_000
"""Written back after this many pages: some 4 MiB, a few milliseconds inside one commit."""

WAL_BYTES_KEPT = 8 << 20
"""A log that grew behind a long query is cut to this once it could be written back."""

WAL_GROWTH_MAX = 8 << 20
"""Behind one query: writing that back costs one commit some 15 ms. A query that holds back more is ended."""

WAL_BYTES_MAX = 128 << 20
"""Behind queries that follow each other without a pause: beyond it they end until the log was cut."""

PAGES_MAX = 4 << 20
"""16 GiB: a table that runs away fills meta.db and not the machine."""

RIDERS_MAX = 1_024
"""Observability rows that wait for a group; what comes on top is dropped and counted, never waited for."""

RIDERS_PER_GROUP = 64
"""A quarter of a group: what is observed never crowds out what is done."""

UNHURRIED_SECONDS = 0.002
"""What nobody waits for may wait so long for a group to go with: the length of one commit."""

SLOW_COMMIT_NS = 10**9
"""A commit that took a second means a disk that cannot be promised upon."""

QUERY_SECONDS = 5
"""A reader holds back the write-ahead log for as long as it reads."""

QUERY_ROWS_MAX = 10_000
QUERY_BYTES_MAX = 8 << 20
"""A result is held in memory and sent over a socket: enough to read, too little to hurt."""

QUERY_VALUE_BYTES_MAX = 4 << 20
"""No single value, the widest row included, is built larger inside a query."""

QUERY_SQL_BYTES_MAX = 64 << 10

QUERY_CHUNK_ROWS = 256
"""Rows fetched by one call to the reader's thread."""

QUERIES_WAITING_MAX = 16
"""Queries run one at a time; with more than these in line the next is told to come later."""

DETAIL_CHARS_MAX = 8_192
"""Of an observability text: a traceback fits, a flood does not."""

PRUNE_ROWS = 500
"""Rows removed from one table in one turn: under a millisecond of commit."""

WORK_AGE_NS = 90 * 24 * 3_600 * 10**9
"""Of a run that was completed, with its tickets: somebody who asks who did what asks within a quarter of a year. Their
idempotency keys go with them; what was committed is in the repository for good."""

STRANGERS_MAX = 100
"""Keys that were not let in: enough to find the machine that one forgot to invite, nothing for a flood to fill."""

PRUNE_PAGE = 4_096
"""Rows added up in one statement, by an index alone: a millisecond."""

SENT_AGE_NS = 24 * 3_600 * 10**9
SENT_BYTES_MAX = 1 << 30
"""Sealed bytes of what was sent and has its outcome: a day to put back what a restored reader lost, and never so much
that they fill a disk. The newest are kept, to a page of rows."""

DEAD_LETTERS_AGE_NS = 30 * 86_400 * 10**9
DEAD_LETTERS_MAX = 5_000
"""On the list with their bytes: what nobody dealt with in a month, nobody will, and the largest make 300 MiB."""

WATCHED_ROWS = 16
"""Of what waits for an actor, the oldest, at each look of the watchdog: consumers take in order, and a hundred actors
cost it 2 ms however full their inboxes are."""
