-- The core tables. Times are nanoseconds since 1970 (wall clock) unless a comment says otherwise; keys are 32 bytes.
-- What each table is for, who writes it and when it is pruned stands in node/db/README.md.

CREATE TABLE schema_version (
    version    INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL,            -- ns
    program    TEXT NOT NULL                -- the version of the program that did it
) STRICT;

CREATE TABLE node_state (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE seals (
    seal      INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL UNIQUE,         -- SHA-256 of the signed bytes and the signature: the same batch is one row
    type      TEXT NOT NULL,
    mesh      BLOB NOT NULL,                -- 16 bytes
    signer    BLOB NOT NULL,
    signature BLOB NOT NULL,                -- 64 bytes
    leaves    BLOB NOT NULL                 -- 32 bytes for each statement of the batch, in its order
) STRICT;

CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY,
    origin      BLOB NOT NULL,              -- key of the node that accepted it first
    id          TEXT NOT NULL,
    leaf        BLOB NOT NULL,              -- 32 bytes
    header      BLOB,                       -- the very bytes that are sealed; NULL once they are pruned
    body        BLOB,
    seal        INTEGER REFERENCES seals (seal),
    position    INTEGER NOT NULL,           -- in the batch of its seal, from 0
    sender      TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    destination BLOB NOT NULL,              -- key
    kind        TEXT,                       -- NULL as in the envelope: text
    lane        TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    in_reply_to TEXT,
    thread      TEXT,
    parent      TEXT,
    clock       INTEGER NOT NULL,           -- ns, hybrid logical clock
    ts          INTEGER NOT NULL,           -- ns, as the sender said
    expires     INTEGER NOT NULL,           -- ns
    via         TEXT NOT NULL,              -- the way in: actor, operator, outbox, link
    accepted_at INTEGER NOT NULL,           -- ns
    UNIQUE (id, origin)
) STRICT;

CREATE INDEX messages_by_seal ON messages (seal) WHERE seal IS NOT NULL;
CREATE INDEX messages_by_in_reply_to ON messages (in_reply_to) WHERE in_reply_to IS NOT NULL;
CREATE INDEX messages_by_parent ON messages (parent) WHERE parent IS NOT NULL;

CREATE TABLE inbox (
    seq          INTEGER PRIMARY KEY REFERENCES messages (seq),
    actor        TEXT NOT NULL,
    file         TEXT NOT NULL,             -- name of its projection in the actor's folder
    state        TEXT NOT NULL CHECK (state IN ('committed', 'projected', 'taken')),
    reign        INTEGER,                   -- with life and number: the statement of the link by which it came
    life         INTEGER,
    number       INTEGER,
    stored_at    INTEGER NOT NULL,          -- ns
    projected_at INTEGER,                   -- ns
    claimed_at   INTEGER,                   -- ns; NULL again when it was given back
    taken_at     INTEGER,                   -- ns
    taken_by     TEXT,                      -- who said so: ack, archive, exit
    UNIQUE (actor, file)
) STRICT;

CREATE INDEX inbox_waiting ON inbox (actor, seq) WHERE state != 'taken';
CREATE INDEX inbox_unprojected ON inbox (seq) WHERE state = 'committed';

CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY REFERENCES messages (seq),
    peer        BLOB NOT NULL,              -- key of the next node on the way
    lane        TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    state       TEXT NOT NULL CHECK (state IN ('open', 'numbered', 'acked', 'done')),
    bytes       INTEGER NOT NULL,           -- of header and body, for the caps
    life        INTEGER,
    number      INTEGER,
    numbered_at INTEGER,                    -- ns
    acked_at    INTEGER,                    -- ns
    done_at     INTEGER,                    -- ns
    CHECK ((state = 'open') <= (number IS NULL))
) STRICT;

CREATE INDEX outbox_pending ON outbox (peer, lane, state, seq) WHERE state != 'done';
CREATE UNIQUE INDEX outbox_numbers ON outbox (peer, lane, life, number) WHERE number IS NOT NULL;
CREATE INDEX outbox_done ON outbox (done_at) WHERE state = 'done';

CREATE TABLE outcomes (
    key     BLOB PRIMARY KEY,               -- the time in the id, if any, and 20 bytes of SHA-256(origin key, id)
    leaf    BLOB NOT NULL,                  -- 32 bytes
    fate    TEXT NOT NULL CHECK (fate IN ('delivered', 'dead', 'in_doubt')),
    code    TEXT,                           -- the reason, for dead and in_doubt
    ender   BLOB NOT NULL,                  -- key of the node that ended it
    at      INTEGER NOT NULL,               -- ns
    expires INTEGER NOT NULL                -- ns; kept until then, skew included
) STRICT, WITHOUT ROWID;

CREATE INDEX outcomes_by_expires ON outcomes (expires);

CREATE TABLE idempotency (
    origin    BLOB NOT NULL,
    actor     TEXT NOT NULL,
    key       TEXT NOT NULL,
    id        TEXT NOT NULL,                -- of the envelope that the first use made
    body_hash BLOB NOT NULL,                -- 32 bytes
    expires   INTEGER NOT NULL,             -- ns
    PRIMARY KEY (origin, actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_expires ON idempotency (expires);

CREATE TABLE streams (
    peer      BLOB NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    lane      TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life      INTEGER NOT NULL,
    lineage   BLOB NOT NULL,                -- 16 random bytes of that life
    number    INTEGER NOT NULL,             -- out: the last one given; in: the mark, the last one consumed
    leaf      BLOB,                         -- of the statement with that number
    acked     INTEGER NOT NULL DEFAULT 0,   -- out only: the peer has stored all up to here
    PRIMARY KEY (peer, direction, lane),
    CHECK (acked <= number)
) STRICT, WITHOUT ROWID;

CREATE TABLE lives (
    peer      BLOB NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    lane      TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    life      INTEGER NOT NULL,
    lineage   BLOB NOT NULL,
    began_at  INTEGER NOT NULL,             -- ns
    reason    TEXT NOT NULL,                -- what began it
    PRIMARY KEY (peer, direction, lane, life)
) STRICT, WITHOUT ROWID;

CREATE TABLE actors (
    name        TEXT PRIMARY KEY,
    command     TEXT NOT NULL,              -- JSON array
    mode        TEXT NOT NULL CHECK (mode IN ('resident', 'per_envelope', 'none')),
    manager     TEXT,
    fenced      INTEGER NOT NULL CHECK (fenced IN (0, 1)),
    enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    environment TEXT NOT NULL,              -- JSON object
    added_at    INTEGER NOT NULL            -- ns
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    actor      TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,            -- ns
    ended_at   INTEGER,                     -- ns
    exit       TEXT,                        -- as a sentence
    reason     TEXT                         -- why it ended: exited, stopped, lost
) STRICT;

CREATE INDEX sessions_open ON sessions (actor) WHERE ended_at IS NULL;

CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,              -- ns
    actor    TEXT NOT NULL,
    name     TEXT NOT NULL,                 -- of the file, made visible
    reason   TEXT NOT NULL,                 -- a stable word
    sentence TEXT NOT NULL,
    size     INTEGER                        -- bytes, where it could be told
) STRICT;

CREATE TABLE crashes (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,            -- ns
    task       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    detail     TEXT NOT NULL,
    node_stops INTEGER NOT NULL CHECK (node_stops IN (0, 1))
) STRICT;

CREATE TABLE ticks (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,                -- ns
    source TEXT NOT NULL,
    detail TEXT NOT NULL                    -- JSON object
) STRICT;

CREATE TABLE cli_invocations (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,              -- ns
    caller   TEXT NOT NULL,
    verb     TEXT NOT NULL,
    exit     INTEGER NOT NULL,
    code     TEXT,                          -- of the error, if there was one
    duration INTEGER NOT NULL               -- ns, monotonic
) STRICT;

CREATE TABLE token_usage (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,            -- ns
    actor      TEXT NOT NULL,
    session    TEXT NOT NULL,
    model      TEXT NOT NULL,
    input      INTEGER NOT NULL,            -- tokens
    output     INTEGER NOT NULL,            -- tokens
    cached     INTEGER NOT NULL,            -- tokens
    cost       INTEGER                      -- millionths of a dollar
) STRICT;

CREATE TABLE watchdog_events (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,              -- ns
    event    TEXT NOT NULL,
    actor    TEXT,
    severity TEXT NOT NULL,
    status   TEXT NOT NULL,
    detail   TEXT NOT NULL                  -- JSON object
) STRICT;

CREATE TABLE iroh_events (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,             -- ns
    event     TEXT NOT NULL,
    peer_hash TEXT NOT NULL,                -- first 16 hex digits of SHA-256(node key), never the key
    label     TEXT,                         -- NULL for whom we do not know
    detail    TEXT NOT NULL                 -- JSON object
) STRICT;

CREATE TABLE logs (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,                -- ns
    level  TEXT NOT NULL,
    event  TEXT NOT NULL,                   -- a stable name
    fields TEXT NOT NULL                    -- JSON object
) STRICT;
