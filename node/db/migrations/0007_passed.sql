-- What the root passed on, or refused to, by id: so that `netsky trace` answers there too. Nothing is decided by it.
CREATE TABLE passed (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,             -- ns: when it was stored here; of what waits, as in `forward`
    origin    BLOB NOT NULL,
    peer      BLOB NOT NULL,                -- key of the destination
    recipient TEXT NOT NULL,
    code      TEXT,                         -- why it ended here; NULL for what went on
    ids       TEXT NOT NULL                 -- of one frame, a space before and after each
) STRICT;

CREATE INDEX forward_received ON forward (received_at);
