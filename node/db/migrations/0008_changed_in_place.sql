-- States that change without a row being written again.

-- The state stood in the index, so each of an envelope's four changes moved it there too. What is open is found by this
-- one, written once and left once; what is not done by outbox_share.
DROP INDEX outbox_pending;
CREATE INDEX outbox_open ON outbox (peer, lane, seq) WHERE state = 'open';

-- 'sent' (it has numbers in `flight`) instead of 'numbered': SQLite changes a row in place if the new one is as long, and
-- else writes all of its pages again, 180 KB for a frame of 64 envelopes instead of 8.
ALTER TABLE forward RENAME TO forward_before;
CREATE TABLE forward (
    seq         INTEGER PRIMARY KEY,
    peer        BLOB NOT NULL,              -- key of the destination
    lane        TEXT NOT NULL CHECK (lane IN ('reply', 'work')),
    origin      BLOB NOT NULL,
    recipient   TEXT NOT NULL,              -- the address, for holds: a row is for one actor
    state       TEXT NOT NULL CHECK (state IN ('open', 'sent')),
    envelopes   INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    batch       BLOB NOT NULL,              -- the origin's, with what is not passed on as bare leaves
    expires     INTEGER NOT NULL,           -- ns: when the first of them does
    received_at INTEGER NOT NULL            -- ns
) STRICT;
INSERT INTO forward SELECT seq, peer, lane, origin, recipient, replace(state, 'numbered', 'sent'), envelopes, bytes, batch,
    expires, received_at FROM forward_before;
DROP TABLE forward_before;
CREATE INDEX forward_open ON forward (peer, lane, origin, seq) WHERE state = 'open';
CREATE INDEX forward_expires ON forward (expires) WHERE state = 'open';
CREATE INDEX forward_received ON forward (received_at);

ALTER TABLE answers RENAME TO answers_before;
CREATE TABLE answers (
    seq      INTEGER PRIMARY KEY,
    peer     BLOB NOT NULL,                 -- key of the next node on the way
    state    TEXT NOT NULL CHECK (state IN ('open', 'sent')),
    outcomes BLOB NOT NULL,                 -- a msgpack array of packed outcomes (netsky.mesh.outcome), 64 at most
    made_at  INTEGER NOT NULL               -- ns
) STRICT;
INSERT INTO answers SELECT seq, peer, replace(state, 'numbered', 'sent'), outcomes, made_at FROM answers_before;
DROP TABLE answers_before;
CREATE INDEX answers_open ON answers (peer, seq) WHERE state = 'open';
