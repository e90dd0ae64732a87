CREATE TABLE deferred (
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    era INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    due_at REAL NOT NULL,
    first_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    deferrals INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL,
    UNIQUE (plugin, callback, era, event_id)
);
CREATE INDEX deferred_seq ON deferred (seq);
CREATE TABLE ignored (
    seq INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (seq, plugin, callback)
) WITHOUT ROWID;
