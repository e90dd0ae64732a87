"""The state in one SQLite database on a local disk: the default, with nothing to install.

Only this room writes SQL, and only `opening` imports it; all others use the protocols of `state`.
"""
