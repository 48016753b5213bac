-- Accounts of before begin anew with the next failure: nobody knows when the last one was.
ALTER TABLE health ADD COLUMN last_failed INTEGER NOT NULL DEFAULT 0;
