-- Restarts of an actor's program or of the node itself: the intent, stored before anything is ended, and what became
-- of it.
CREATE TABLE handoffs (
    id         INTEGER PRIMARY KEY,
    actor      TEXT NOT NULL,               -- whose program; 'node' for all of it
    asked_by   TEXT NOT NULL,               -- operator, an actor, or a part of the node
    forced     INTEGER NOT NULL,            -- 1: not asked for by the actor or a person, but found to be needed
    why        TEXT NOT NULL,
    ran        TEXT NOT NULL,               -- JSON: what ran, and what waited, when it was asked for
    text       TEXT,                        -- for the next life; NULL: nothing was handed on
    state      TEXT NOT NULL CHECK (state IN ('written', 'restarted', 'proved', 'failed')),
    within     INTEGER NOT NULL,            -- ns: how long the new life has to prove itself
    at         INTEGER NOT NULL,            -- ns, wall clock: asked for
    restarted  INTEGER,                     -- ns: the last time that a new life was begun
    ended      INTEGER,                     -- ns: proved, or given up
    cleared    INTEGER,                     -- ns: nothing of it is open any more
    tries      INTEGER NOT NULL DEFAULT 0,
    returned   INTEGER NOT NULL DEFAULT 0,  -- envelopes that the old life had in hand, back in the inbox
    envelope   TEXT,                        -- id of the envelope that holds the text
    said       TEXT NOT NULL DEFAULT ''     -- what proved it, or why it was given up
) STRICT;

CREATE INDEX handoffs_open ON handoffs (actor, id) WHERE cleared IS NULL;
