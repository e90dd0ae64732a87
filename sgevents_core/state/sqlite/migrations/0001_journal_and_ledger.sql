CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    era INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    late INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX journal_event ON journal (era, event_id);

CREATE TABLE feed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    state TEXT NOT NULL
);
CREATE TABLE missing (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    below_at INTEGER NOT NULL,
    noticed REAL NOT NULL,
    hot INTEGER NOT NULL
);
CREATE TABLE gone (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE closed (era INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (era, first)) WITHOUT ROWID;

CREATE TABLE lanes (
    name TEXT PRIMARY KEY,
    fence INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0,
    done TEXT
) WITHOUT ROWID;
CREATE TABLE plugins (
    name TEXT PRIMARY KEY,
    lane TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    apart INTEGER NOT NULL,
    done TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    retry_at REAL NOT NULL,
    failures INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE attempts (
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (plugin, callback, seq)
) WITHOUT ROWID;
CREATE TABLE failures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    at REAL NOT NULL,
    outcome TEXT NOT NULL,
    dead INTEGER NOT NULL,
    body BLOB
);
CREATE INDEX failures_event ON failures (event_id);
CREATE INDEX failures_dead ON failures (plugin) WHERE dead = 1;
CREATE TABLE stores (
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (plugin, key)
) WITHOUT ROWID;
