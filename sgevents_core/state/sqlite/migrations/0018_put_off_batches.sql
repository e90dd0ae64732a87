ALTER TABLE batched ADD COLUMN put_off_at REAL NOT NULL DEFAULT 0;
ALTER TABLE batched ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE batched ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batched_replay_keys ON batched (request, callback, key) WHERE request > 0;
CREATE INDEX batched_replay_order ON batched (request, batch, callback) WHERE request > 0;
