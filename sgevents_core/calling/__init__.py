"""One call of a plugin's code: its arguments, its thread, and the verdict on its outcome.

Nothing here imports dispatch or requests at run time.
"""
