-- Work: runs, their tickets, how each came to be where it is, and what this node holds for another.

-- A run: one plan, or what was added by hand.
CREATE TABLE work_runs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,         -- created, planned, dispatched, collecting, verifying, committing, completed, blocked
    head TEXT NOT NULL,          -- JSON: title, repository, base, branch, push, warnings
    plan TEXT,                   -- its text until all its tickets are stored
    asked_by TEXT NOT NULL,      -- who started it
    cause TEXT,                  -- id of the envelope that asked for it, if one did
    made_at INTEGER NOT NULL,    -- ns
    changed_at INTEGER NOT NULL, -- ns: when its state was entered
    reason TEXT NOT NULL,
    tickets INTEGER NOT NULL,
    unreported INTEGER NOT NULL, -- how many have not come past each line
    unverified INTEGER NOT NULL,
    open INTEGER NOT NULL,
    failed INTEGER NOT NULL      -- dead
) STRICT;
CREATE INDEX work_runs_over ON work_runs (changed_at) WHERE state = 'completed';
CREATE INDEX work_runs_open ON work_runs (made_at) WHERE state != 'completed';

CREATE TABLE work_tickets (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,     -- run.name
    run TEXT NOT NULL REFERENCES work_runs (id),
    parent INTEGER REFERENCES work_tickets (seq),
    depth INTEGER NOT NULL,
    spec TEXT NOT NULL,          -- JSON: what its author decided
    place TEXT NOT NULL,         -- tickets of one place wait for the same room
    state TEXT NOT NULL,
    since INTEGER NOT NULL,      -- ns: when the state was entered
    owner TEXT NOT NULL,         -- who has the ball
    missing INTEGER NOT NULL,    -- tickets that have to be committed first and are not
    due INTEGER NOT NULL,        -- waiting: not before, ns
    till INTEGER,                -- offered, leased: the lease ends; parked: it goes on; ns. NULL: with this life
    tries INTEGER NOT NULL,      -- counted ones that are over
    crashes INTEGER NOT NULL,    -- nodes that died while it was alone on them
    alone INTEGER NOT NULL,      -- 1: it was at work when a node died; it gets a node for itself
    node TEXT NOT NULL,          -- that has it, or had it last
    fence TEXT NOT NULL,         -- of its lease, or of its last one
    code TEXT NOT NULL,          -- why it is where it is, for programs
    reason TEXT NOT NULL,        -- for people
    report TEXT                  -- JSON: the one that counted last
) STRICT;
CREATE INDEX work_tickets_run ON work_tickets (run, seq);
CREATE INDEX work_tickets_parent ON work_tickets (parent) WHERE parent IS NOT NULL;
CREATE INDEX work_tickets_ready ON work_tickets (place, alone, due, seq) WHERE state = 'waiting' AND missing = 0;
CREATE INDEX work_tickets_held ON work_tickets (node) WHERE state IN ('offered', 'leased');
CREATE INDEX work_tickets_timed ON work_tickets (till) WHERE state IN ('offered', 'leased', 'parked');
CREATE INDEX work_tickets_in ON work_tickets (state, seq) WHERE state IN ('reported', 'verified');
CREATE INDEX work_tickets_owner ON work_tickets (owner, seq) WHERE state NOT IN ('committed', 'cancelled', 'dead');

CREATE TABLE work_after (
    ticket INTEGER NOT NULL REFERENCES work_tickets (seq),
    needs INTEGER NOT NULL REFERENCES work_tickets (seq),
    PRIMARY KEY (ticket, needs)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_after_needs ON work_after (needs, ticket);

-- Each transition, in its transaction: the story of a ticket, and of a run (ticket NULL).
CREATE TABLE work_checkpoints (
    number INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    ticket INTEGER,
    at INTEGER NOT NULL,         -- ns
    event TEXT NOT NULL,
    state TEXT NOT NULL,         -- that was entered
    owner TEXT NOT NULL,         -- who has the ball since
    node TEXT NOT NULL,
    fence TEXT NOT NULL,
    try INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX work_checkpoints_ticket ON work_checkpoints (ticket, number);
CREATE INDEX work_checkpoints_run ON work_checkpoints (run, number) WHERE ticket IS NULL;

-- What a ticket points to, as it was when the ticket was made.
CREATE TABLE work_context (
    ticket INTEGER NOT NULL REFERENCES work_tickets (seq),
    pointer TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (ticket, pointer)
) STRICT, WITHOUT ROWID;

-- What was once done under an idempotency key is not done again.
CREATE TABLE work_keys (
    key TEXT PRIMARY KEY,
    hash BLOB NOT NULL,          -- SHA-256 of the ticket's spec
    ticket INTEGER NOT NULL REFERENCES work_tickets (seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_keys_ticket ON work_keys (ticket);

CREATE TABLE work_notes (
    number INTEGER PRIMARY KEY,
    ticket INTEGER,              -- seq
    run TEXT NOT NULL,
    at INTEGER NOT NULL,         -- ns
    author TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX work_notes_ticket ON work_notes (ticket, number);
CREATE INDEX work_notes_run ON work_notes (run, number);

-- What a person allowed a ticket beyond its scope, for a time.
CREATE TABLE work_grants (
    number INTEGER PRIMARY KEY,
    ticket INTEGER NOT NULL,     -- seq
    at INTEGER NOT NULL,         -- ns
    until INTEGER NOT NULL,      -- ns: over from here on
    author TEXT NOT NULL,
    scope TEXT NOT NULL,         -- JSON: fs_write, net
    envelope TEXT NOT NULL       -- the sealed word, by its id
) STRICT;
CREATE INDEX work_grants_ticket ON work_grants (ticket, number);

-- At a node that got a ticket by a lease of netsky0.
CREATE TABLE work_held (
    ticket TEXT PRIMARY KEY,
    fence TEXT NOT NULL,
    reign INTEGER NOT NULL,
    life INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    state TEXT NOT NULL,         -- held, running, done, cancelled
    try INTEGER NOT NULL,
    spec TEXT NOT NULL,
    context TEXT NOT NULL,       -- JSON: [[pointer, text], …]
    report TEXT,
    envelope TEXT NOT NULL,      -- the id of the one that brought it
    at INTEGER NOT NULL          -- ns
) STRICT, WITHOUT ROWID;

-- Envelopes between the nodes' own parts that have arrived and wait to be carried out, in the transaction that stored them.
CREATE TABLE work_mail (
    seq INTEGER PRIMARY KEY      -- of its message
) STRICT;
