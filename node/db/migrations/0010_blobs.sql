-- Attachments: which blobs are here, who names them, and what of others has arrived so far.

CREATE TABLE blobs (
    hash    BLOB PRIMARY KEY,               -- SHA-256 of its bytes; the file under blobs/ has it as its name
    size    INTEGER NOT NULL,
    source  TEXT NOT NULL,                  -- who brought it first: an actor, operator, or the beginning of a node's key
    state   TEXT NOT NULL CHECK (state IN ('held', 'lost')),
    made_at INTEGER NOT NULL,               -- ns
    touched INTEGER NOT NULL                -- ns: when somebody was told last that it is here
) STRICT, WITHOUT ROWID;

CREATE INDEX blobs_by_source ON blobs (source, touched);

-- A blob lives as long as a row here names it; a row here lives as long as the row that it stands for.
CREATE TABLE blob_names (
    holder TEXT NOT NULL CHECK (holder IN ('message', 'forward')),
    seq    INTEGER NOT NULL,                -- of that message or forward row
    hash   BLOB NOT NULL,
    size   INTEGER NOT NULL,
    PRIMARY KEY (holder, seq, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_names_by_hash ON blob_names (hash);

-- Blobs of which a beginning is here. One for each source: nobody can spoil what another one sends.
CREATE TABLE blob_parts (
    source  TEXT NOT NULL,
    hash    BLOB NOT NULL,
    size    INTEGER NOT NULL,
    durable INTEGER NOT NULL,               -- bytes from the beginning that are surely on disk
    touched INTEGER NOT NULL,               -- ns
    PRIMARY KEY (source, hash)
) STRICT, WITHOUT ROWID;

-- 1: it names blobs, and leaves only when the next node says that it holds them all.
ALTER TABLE outbox ADD COLUMN attached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forward ADD COLUMN attached INTEGER NOT NULL DEFAULT 0;

CREATE INDEX outbox_attached ON outbox (peer, lane, seq) WHERE state = 'open' AND attached = 1;
CREATE INDEX forward_attached ON forward (peer, lane, seq) WHERE state = 'open' AND attached = 1;

CREATE TRIGGER forward_names_end AFTER DELETE ON forward WHEN OLD.attached = 1
BEGIN
    DELETE FROM blob_names WHERE holder = 'forward' AND seq = OLD.seq;
END;
