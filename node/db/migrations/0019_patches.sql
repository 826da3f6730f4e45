-- Tickets with files: from which commit a try begins, and patches that have been reported and are not yet committed.

ALTER TABLE work_runs ADD COLUMN tip TEXT NOT NULL DEFAULT '';      -- the commit that its next tries begin from; '': as planned
ALTER TABLE work_tickets ADD COLUMN start TEXT NOT NULL DEFAULT ''; -- JSON: the files of its try; '': none
ALTER TABLE work_held ADD COLUMN start TEXT NOT NULL DEFAULT '';

-- A patch keeps its blob until its ticket goes on without it.
CREATE TABLE work_patches (
    ticket INTEGER PRIMARY KEY REFERENCES work_tickets (seq),
    hash   BLOB NOT NULL                    -- SHA-256; the blob of that name
) STRICT;
CREATE INDEX work_patches_hash ON work_patches (hash);

CREATE TRIGGER work_patches_end AFTER UPDATE OF state ON work_tickets
WHEN NEW.state IN ('waiting', 'committed', 'cancelled', 'dead') AND OLD.state IN ('reported', 'verified', 'blocked')
BEGIN
    DELETE FROM work_patches WHERE ticket = OLD.seq;
END;
