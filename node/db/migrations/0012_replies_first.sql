-- What is handed to a program one by one is handed replies first, and while an answer waits for room, replies alone:
-- 1: of the reply lane.
ALTER TABLE inbox ADD COLUMN reply INTEGER NOT NULL DEFAULT 0;

UPDATE inbox SET reply = 1 WHERE state != 'taken' AND seq IN
    (SELECT seq FROM messages WHERE kind IN ('reply', 'report', 'error', 'cancel', 'outcome', 'control'));

CREATE INDEX inbox_replies ON inbox (actor, seq) WHERE state != 'taken' AND reply = 1;
