"""One call of a plugin's code: what it is given, in which thread it runs, how it is judged.

Dispatch and requests come in here; nothing in here knows lanes or requests.
"""
