-- What senders and operators see of delivery: dead letters, acknowledgements that are due, shares of the outbox, and
-- which sealed bytes are still kept.

-- 1 while its sender is still to be told that the actor took it, in the transaction that stores that 0 again.
ALTER TABLE inbox ADD COLUMN wants_ack INTEGER NOT NULL DEFAULT 0;

CREATE INDEX inbox_ack_due ON inbox (seq) WHERE wants_ack = 1 AND state = 'taken';

ALTER TABLE outbox ADD COLUMN wants_ack INTEGER NOT NULL DEFAULT 0;     -- 1: an acknowledgement may come for it
ALTER TABLE outbox ADD COLUMN kept INTEGER NOT NULL DEFAULT 1;          -- 0: its message has no header and body any more
ALTER TABLE outbox ADD COLUMN destination BLOB;                         -- as in its message: for the shares

UPDATE outbox SET destination = (SELECT destination FROM messages WHERE messages.seq = outbox.seq);

CREATE INDEX outbox_share ON outbox (destination, bytes) WHERE state != 'done';

DROP INDEX outbox_done;
CREATE INDEX outbox_kept ON outbox (done_at, seq, bytes) WHERE state = 'done' AND kept = 1;

-- Envelopes of this node that ended dead or in doubt, until somebody has dealt with them. Off the list they stay as long
-- as their message, so that a trace can still tell.
CREATE TABLE dead_letters (
    number     INTEGER PRIMARY KEY,         -- in the order in which this node learnt of them
    seq        INTEGER NOT NULL UNIQUE REFERENCES outbox (seq),
    fate       TEXT NOT NULL CHECK (fate IN ('dead', 'in_doubt')),
    code       TEXT NOT NULL,               -- the reason
    ender      BLOB NOT NULL,               -- key of the node that ended it
    at         INTEGER NOT NULL,            -- ns, by the clock of that node
    known_at   INTEGER NOT NULL,            -- ns, by ours
    seen_at    INTEGER,                     -- ns: an operator was shown it
    retries    INTEGER NOT NULL DEFAULT 0,
    retry      TEXT,                        -- id of the last retry
    retried_at INTEGER,                     -- ns
    dropped_at INTEGER                      -- ns: off the list
) STRICT;

CREATE INDEX dead_letters_listed ON dead_letters (number) WHERE dropped_at IS NULL;
