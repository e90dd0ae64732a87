"""The state: the events seen, the progress of every plugin, failures, and people's requests.

The feed appends, lanes record, and everyone else reads, over the protocols that `opening` opens.
"""
