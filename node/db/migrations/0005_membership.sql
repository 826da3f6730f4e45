-- Who may join this mesh and who tried. The roster itself is one value in node_state.

CREATE TABLE invites (
    id           INTEGER PRIMARY KEY,
    hash         BLOB NOT NULL UNIQUE,      -- names the invite on the wire: a hash of its secret
    secret       BLOB,                      -- 16 bytes; NULL once nobody can use it any more
    label        TEXT NOT NULL,
    capabilities TEXT NOT NULL,             -- JSON array
    hold         INTEGER NOT NULL CHECK (hold IN (0, 1)),
    made_at      INTEGER NOT NULL,          -- ns
    ends         INTEGER NOT NULL,          -- ns; of a pending one: when the join is given up
    state        TEXT NOT NULL CHECK (state IN ('open', 'pending', 'enrolled', 'refused', 'withdrawn', 'ended')),
    key          BLOB,                      -- who used it: one key, once
    name         TEXT,                      -- what that key is called, or will be
    words        TEXT,                      -- of its last question, as both screens show them
    program      TEXT,                      -- its version
    asked_at     INTEGER,                   -- ns
    decided_at   INTEGER,                   -- ns
    CHECK ((state IN ('pending', 'enrolled', 'refused')) <= (key IS NOT NULL))
) STRICT;

CREATE INDEX invites_alive ON invites (id) WHERE state IN ('open', 'pending');

-- Keys that knocked and were not let in, the latest hundred.
CREATE TABLE strangers (
    key      BLOB PRIMARY KEY,
    first_at INTEGER NOT NULL,              -- ns
    last_at  INTEGER NOT NULL,              -- ns
    times    INTEGER NOT NULL,
    code     TEXT NOT NULL                  -- why, the last time
) STRICT, WITHOUT ROWID;
