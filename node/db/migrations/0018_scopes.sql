-- What a program that is started for an envelope may reach from the sandbox of tasks.

ALTER TABLE actors ADD COLUMN scope TEXT;  -- JSON {"hosts": [...], "readable": [...]}; NULL: it runs behind the usual fence, or none
