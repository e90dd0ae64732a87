"""Children of the daemon, each with its own interpreter: worker processes, and one for the feed.

A lane's callbacks run in worker processes, whose only entry point is `child_main`; while the feed
is far behind, `feed_child` follows the log. The daemon alone starts and ends them.
"""
