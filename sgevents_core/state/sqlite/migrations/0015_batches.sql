CREATE TABLE batched (
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    batch INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    era INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    body BLOB NOT NULL,
    strands INTEGER NOT NULL,
    collected_at REAL NOT NULL,
    due_at REAL NOT NULL,
    closed INTEGER NOT NULL,
    letter INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
CREATE INDEX batched_events ON batched (letter, plugin, callback, batch);
CREATE INDEX batched_seq ON batched (seq);
