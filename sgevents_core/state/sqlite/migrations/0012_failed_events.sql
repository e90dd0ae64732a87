CREATE INDEX failures_dead_seq ON failures (seq) WHERE dead = 1;
