"""Figures and health for monitoring: what a running daemon counts, answered over HTTP.

The daemon opens a `Monitoring` and gives its observers to the lanes; nothing else comes in here.
"""
