CREATE INDEX failures_alive ON failures (seq) WHERE dead = 0;
CREATE INDEX failures_traceback ON failures (traceback_id);
