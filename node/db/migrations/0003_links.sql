-- What a link must remember between two connections, beyond the core's streams, outbox and inbox.

ALTER TABLE streams ADD COLUMN acked_leaf BLOB;     -- out only: of the statement with the number `acked`
ALTER TABLE streams ADD COLUMN frozen TEXT;         -- why this lane stands still in this direction; NULL: it does not

-- The data frames that came in last, one window of numbers: to recognise what comes again, and to prove what came.
CREATE TABLE link_window (
    peer   BLOB NOT NULL,
    lane   TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    leaves BLOB NOT NULL,                   -- 32 bytes for each number
    claim  BLOB NOT NULL,                   -- the peer's link seal over them
    UNIQUE (peer, lane, life, first, last)
) STRICT;

-- Numbers that brought no envelope: consumed, acknowledged, and refused for the reason given.
CREATE TABLE link_refusals (
    peer   BLOB NOT NULL,
    lane   TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    leaf   BLOB NOT NULL,                   -- 32 bytes
    code   TEXT NOT NULL,
    at     INTEGER NOT NULL,                -- ns
    UNIQUE (peer, lane, life, number)
) STRICT;
