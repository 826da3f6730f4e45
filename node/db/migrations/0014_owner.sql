-- The owner's desk at netsky0: what became of each item in the owner's inbox, and the pages that were made for them.

CREATE TABLE owner_items (
    seq         INTEGER PRIMARY KEY REFERENCES messages (seq),
    deadline    INTEGER,                    -- ns; NULL: it is no ask
    seen_at     INTEGER,                    -- ns: shown to the owner
    taken_at    INTEGER,                    -- ns: agent0 said that it sees to it
    page        INTEGER,                    -- of owner_pages: the first that named it
    last_call   INTEGER,                    -- and the one that named it again, before its deadline
    answer      TEXT,                       -- id of the owner's answer; '': none could be sent
    answered_by TEXT CHECK (answered_by IN ('owner', 'deadline')),
    answered_at INTEGER,                    -- ns
    answer_text TEXT                        -- its beginning: its own bytes are pruned sooner
) STRICT;

CREATE INDEX owner_items_untold ON owner_items (seq)
    WHERE page IS NULL AND seen_at IS NULL AND taken_at IS NULL AND answered_at IS NULL;
CREATE INDEX owner_items_asks ON owner_items (deadline) WHERE deadline IS NOT NULL AND answered_at IS NULL;

CREATE TABLE owner_pages (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,               -- ns
    urgent  INTEGER NOT NULL,               -- 1: an escalation is in it
    items   INTEGER NOT NULL,
    subject TEXT NOT NULL,
    body    TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('due', 'told', 'moot', 'failed')),
    tries   INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL                -- ns: not tried before
) STRICT;

CREATE INDEX owner_pages_due ON owner_pages (id) WHERE state = 'due';
CREATE INDEX owner_pages_urgent ON owner_pages (id) WHERE urgent = 1;

-- What an actor has asked the owner: few messages are questions.
CREATE INDEX messages_questions ON messages (sender, seq) WHERE kind = 'question';
