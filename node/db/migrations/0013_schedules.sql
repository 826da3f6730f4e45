-- How far each entry of cron.toml and each loop has come. Written after what it fired is stored, so a crash in between
-- fires the same due time again, with the same key, which makes no second envelope.
CREATE TABLE schedules (
    kind TEXT NOT NULL,        -- cron, loop
    id TEXT NOT NULL,          -- the entry's label, the loop's id
    rule TEXT NOT NULL,        -- what decides when it is due; another rule begins anew
    done INTEGER NOT NULL,     -- cron: every due time up to it is dealt with, ns of the wall clock
    due INTEGER,               -- loop: when it fires next, ns; NULL for an entry of cron.toml
    span INTEGER,              -- loop: the wait that led to `due`, ns
    fired INTEGER,             -- the due time of the last that was accepted, ns
    envelope TEXT,             -- its id
    missed INTEGER NOT NULL,   -- due times that did not fire
    fault TEXT NOT NULL,       -- why the last one could not be sent; empty if it could
    fault_at INTEGER NOT NULL, -- since when, ns
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
