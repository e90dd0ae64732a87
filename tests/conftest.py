"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell's background job ignores Ctrl-C, and so would the commands that are started here.
signal.signal(signal.SIGINT, signal.default_int_handler)
