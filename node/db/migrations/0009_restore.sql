-- What a node must know to notice that it, or another, was put back from a backup.

-- The memories that nodes had, this one included: a new one is drawn when a home begins, and whenever it was restored.
CREATE TABLE lineages (
    node       BLOB NOT NULL,
    lineage    BLOB NOT NULL,               -- 16 random bytes
    since      INTEGER NOT NULL,            -- ns: what came to that node later, and before this lineage, may be lost
    first_at   INTEGER NOT NULL,            -- ns: when it was seen first, here
    superseded INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    PRIMARY KEY (node, lineage)
) STRICT, WITHOUT ROWID;

ALTER TABLE outbox ADD COLUMN fate TEXT;                        -- when done; NULL of rows that are older
-- It was acknowledged, or may have been, and is sent again: 1 because a node on the way forgot it, 2 because its
-- destination did; 3 the same, but its bytes are gone here too. What `dead` says of it is no longer the whole truth.
ALTER TABLE outbox ADD COLUMN put_back INTEGER NOT NULL DEFAULT 0;
