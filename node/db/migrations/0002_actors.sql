-- What running the programs of actors needs beyond the core.

ALTER TABLE actors ADD COLUMN cwd TEXT NOT NULL DEFAULT '';              -- '' stands for the user's home folder
ALTER TABLE actors ADD COLUMN timeout INTEGER NOT NULL DEFAULT 1800;     -- seconds for one envelope

-- One row for each envelope that was given to a program and is not ended, written before it is given. So an envelope
-- that takes the node down with it is known as such to the next life of the node.
CREATE TABLE handovers (
    seq    INTEGER PRIMARY KEY REFERENCES inbox (seq),
    actor  TEXT NOT NULL,
    tries  INTEGER NOT NULL,                -- begun, those that failed and this one
    losses INTEGER NOT NULL,                -- of these: the node ended in the middle
    open   INTEGER NOT NULL CHECK (open IN (0, 1)),
    due    INTEGER NOT NULL,                -- ns: not given again before
    reason TEXT NOT NULL                    -- why the last try failed, as a sentence
) STRICT;

CREATE INDEX handovers_by_actor ON handovers (actor);
