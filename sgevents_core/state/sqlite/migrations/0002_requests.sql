CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    plugin TEXT NOT NULL,
    detail TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_at REAL NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}',
    outcome TEXT,
    answer TEXT NOT NULL DEFAULT '',
    answered_at REAL
);
CREATE INDEX requests_open ON requests (id) WHERE outcome IS NULL;
CREATE TABLE replays (
    request INTEGER NOT NULL,
    place INTEGER NOT NULL,
    era INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (request, place)
) WITHOUT ROWID;

CREATE TABLE deaths (
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    seq INTEGER NOT NULL,
    proved INTEGER NOT NULL,
    unproved INTEGER NOT NULL,
    how TEXT NOT NULL,
    traceback TEXT NOT NULL,
    PRIMARY KEY (plugin, callback, seq)
) WITHOUT ROWID;

CREATE TABLE joined (plugin TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO joined SELECT name, 0 FROM plugins;

ALTER TABLE failures ADD COLUMN era INTEGER NOT NULL DEFAULT 1;
