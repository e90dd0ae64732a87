ALTER TABLE journal ADD COLUMN strands INTEGER;
ALTER TABLE lanes ADD COLUMN order_by TEXT;
ALTER TABLE plugins ADD COLUMN order_by TEXT;
ALTER TABLE plugins ADD COLUMN above TEXT;
CREATE TABLE lane_strands (
    lane TEXT NOT NULL,
    strand INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    done TEXT,
    sum INTEGER NOT NULL,
    PRIMARY KEY (lane, strand)
) WITHOUT ROWID;
CREATE TABLE plugin_strands (
    plugin TEXT NOT NULL,
    strand INTEGER NOT NULL,
    order_by TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    done TEXT NOT NULL,
    held INTEGER NOT NULL,
    reason TEXT NOT NULL,
    retry_at REAL NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (plugin, strand)
) WITHOUT ROWID;
