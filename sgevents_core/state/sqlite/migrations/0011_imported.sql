CREATE TABLE imported (
    plugin TEXT PRIMARY KEY,
    last_id INTEGER NOT NULL,
    missing TEXT NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID;
