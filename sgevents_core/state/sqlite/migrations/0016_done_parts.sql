CREATE TABLE done_parts (
    event_id INTEGER NOT NULL,
    era INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (event_id, era, plugin, callback, name)
) WITHOUT ROWID;
CREATE INDEX done_parts_seq ON done_parts (seq);
