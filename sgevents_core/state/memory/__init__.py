"""The state in a process's memory: for tests, and for plugin authors' tests.

It is lost with the process. Nobody outside imports it except `opening`.
"""
