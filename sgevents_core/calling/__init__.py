"""One call of a plugin's code: its arguments, its thread, and the verdict on its outcome.

Used by dispatch and requests; nothing here knows lanes or requests.
"""
