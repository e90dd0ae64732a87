CREATE TABLE set_aside (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    era INTEGER NOT NULL,
    event TEXT NOT NULL,
    place TEXT NOT NULL,
    reason TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (era, event, place)
);
