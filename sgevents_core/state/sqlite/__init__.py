"""The state in one SQLite database on a local disk: the default, with nothing to install.

Only this room writes SQL; everything else uses the protocols of the room `state`.
"""
