CREATE TABLE journal_pages (
    last_seq INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    era INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    latest_at INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    heads BLOB NOT NULL,
    bodies BLOB NOT NULL
);
CREATE UNIQUE INDEX journal_page_ids ON journal_pages (era, last_id);
