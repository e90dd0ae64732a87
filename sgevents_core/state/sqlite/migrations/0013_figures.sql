CREATE TABLE call_figures (
    span INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    callback TEXT NOT NULL,
    calls INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    buckets TEXT NOT NULL,
    PRIMARY KEY (span, starts_at, plugin, callback)
) WITHOUT ROWID;
CREATE TABLE feed_figures (
    span INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    events INTEGER NOT NULL,
    behind INTEGER NOT NULL,
    lag REAL NOT NULL,
    PRIMARY KEY (span, starts_at)
) WITHOUT ROWID;
