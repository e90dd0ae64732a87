"""Alerts: what needs a person is told to mail, chat or a monitor, each problem once.

The daemon opens them and shows them its parts; the command `sgevents alerts` tries them out. What
is wrong is read from the state, never from a lane, so that nothing here can hold one up.
"""
