-- What the root passes on, what is on its way to a peer, and the fates that go back.

-- The root's forward queue: what came in one frame for one destination. A cache of what origins hold open; a row goes
-- when the next node has acknowledged it.
CREATE TABLE forward (
    seq         INTEGER PRIMARY KEY,
    peer        BLOB NOT NULL,              -- key of the destination
    lane        TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    origin      BLOB NOT NULL,
    recipient   TEXT NOT NULL,              -- the address, for holds: a row is for one actor
    state       TEXT NOT NULL CHECK (state IN ('open', 'numbered')),
    envelopes   INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    batch       BLOB NOT NULL,              -- the origin's, with what is not passed on as bare leaves
    expires     INTEGER NOT NULL,           -- ns: when the first of them does
    received_at INTEGER NOT NULL            -- ns
) STRICT;

CREATE INDEX forward_open ON forward (peer, lane, origin, seq) WHERE state = 'open';
CREATE INDEX forward_expires ON forward (expires) WHERE state = 'open';

-- Frames that have numbers and are not acknowledged: what a resumed link sends again, under the same seal.
CREATE TABLE flight (
    peer   BLOB NOT NULL,
    lane   TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    leaves BLOB NOT NULL,                   -- 32 bytes for each number
    seal   BLOB NOT NULL,                   -- our link seal or route over it
    source TEXT NOT NULL CHECK (source IN ('own', 'forward', 'outcomes')),
    rows   TEXT NOT NULL,                   -- JSON array: seq of outbox, forward or answers
    PRIMARY KEY (peer, lane, life, first)
) STRICT, WITHOUT ROWID;

-- Fates on their way to the origins, one row for what ended together.
CREATE TABLE answers (
    seq      INTEGER PRIMARY KEY,
    peer     BLOB NOT NULL,                 -- key of the next node on the way
    state    TEXT NOT NULL CHECK (state IN ('open', 'numbered')),
    outcomes BLOB NOT NULL,                 -- a msgpack array of packed outcomes (netsky.mesh.outcome), 64 at most
    made_at  INTEGER NOT NULL               -- ns
) STRICT;

CREATE INDEX answers_open ON answers (peer, seq) WHERE state = 'open';

-- The root's seals by which envelopes came in: what proves that they were routed. An inbox row finds its own by lane,
-- life and number.
CREATE TABLE routes (
    id     INTEGER PRIMARY KEY,
    reign  INTEGER NOT NULL,
    lane   TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    at     INTEGER NOT NULL,                -- ns
    UNIQUE (lane, life, first)
) STRICT;

-- By the root's wall clock, as the outcome said.
ALTER TABLE outbox ADD COLUMN root_received INTEGER;    -- ns
ALTER TABLE outbox ADD COLUMN root_routed INTEGER;      -- ns

-- Fates that the actor who sent the envelope must hear of, until they stand in its inbox.
CREATE TABLE errors_due (
    seq INTEGER PRIMARY KEY REFERENCES messages (seq)
) STRICT;

-- What was refused, counted: a peer that floods us costs one row, not a million.
CREATE TABLE refused_counts (
    peer  BLOB NOT NULL,
    code  TEXT NOT NULL,
    count INTEGER NOT NULL,
    last  INTEGER NOT NULL,                 -- ns
    PRIMARY KEY (peer, code)
) STRICT, WITHOUT ROWID;
