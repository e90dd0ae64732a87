"""`python -m sgevents_core`: the command, if its script is not on the PATH."""

from sgevents_core.cli import main

main()
