"""Which of several hosts works at what: the decision, and the leases that carry it out.

Used by the daemon; what a host may write is decided by the state's fences alone, never here.
"""
