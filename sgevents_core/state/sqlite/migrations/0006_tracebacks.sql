CREATE TABLE tracebacks (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    text TEXT NOT NULL
);
ALTER TABLE failures ADD COLUMN traceback_id INTEGER;
CREATE INDEX failures_whole ON failures (id) WHERE traceback_id IS NULL AND traceback <> '';
