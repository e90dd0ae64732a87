"""The site: its client, and the feed that follows its event log without losing a row.

The daemon runs the feed; plugins get the same guarded client through `ctx.sg`.
"""
