-- The committer's log. `prepared` is written before the repository is changed and holds all that is needed to do the
-- change again; the repository itself says whether it was done (refs/netsky/done/...).
CREATE TABLE commits (
    seq           INTEGER PRIMARY KEY,
    repository    TEXT NOT NULL,
    key           TEXT NOT NULL,                    -- idempotency key: one commit at most
    ticket        TEXT NOT NULL,
    run           TEXT NOT NULL,
    worker        TEXT NOT NULL,
    node          TEXT NOT NULL,
    fence         TEXT NOT NULL,                    -- reign.life.counter of the lease it was made under
    branch        TEXT NOT NULL,
    base          TEXT NOT NULL,                    -- the commit that the worker began from
    patch         TEXT NOT NULL,                    -- hex SHA-256
    title         TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    reverts       TEXT NOT NULL,                    -- key of the commit that it takes back, or ''
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'prepared', 'committed', 'refused', 'conflict')),
    parent        TEXT NOT NULL DEFAULT '',
    made          TEXT NOT NULL DEFAULT '',         -- id of the commit, once it is known
    content       BLOB,                             -- its bytes, while it is prepared
    code          TEXT NOT NULL DEFAULT '',         -- why it was refused or is in conflict
    said          TEXT NOT NULL DEFAULT '',
    decided_by    TEXT NOT NULL DEFAULT '',         -- which person, where one was asked
    at            INTEGER NOT NULL,                 -- ns, wall clock: when it was asked for first
    changed       INTEGER NOT NULL,                 -- ns: its state
    UNIQUE (repository, key)
) STRICT;

CREATE INDEX commits_open ON commits (repository, seq) WHERE state = 'prepared';
CREATE INDEX commits_key ON commits (key);

-- The highest fence that was seen of each ticket: what comes with a lower one comes from a lease that is over.
CREATE TABLE commit_fences (
    ticket  TEXT PRIMARY KEY,
    reign   INTEGER NOT NULL,
    life    INTEGER NOT NULL,
    counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is to be sent to another repository, and what that one said.
CREATE TABLE pushes (
    seq        INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    key        TEXT NOT NULL,
    branch     TEXT NOT NULL,
    url        TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('due', 'pushed', 'refused')),
    tries      INTEGER NOT NULL DEFAULT 0,
    said       TEXT NOT NULL DEFAULT '',
    at         INTEGER NOT NULL,                    -- ns
    changed    INTEGER NOT NULL,                    -- ns
    UNIQUE (repository, key, url)
) STRICT;

CREATE INDEX pushes_due ON pushes (repository, seq) WHERE state = 'due';

-- Clones that are or were on this disk.
CREATE TABLE workspaces (
    task       TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    base       TEXT NOT NULL,
    made_at    INTEGER NOT NULL,                    -- ns
    archived   INTEGER                              -- ns: its report and its patch are stored; NULL: it is at work
) STRICT;
