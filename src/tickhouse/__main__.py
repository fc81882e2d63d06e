"""`python -m tickhouse` is the command `tickhouse`."""

from tickhouse.cli import main

main()
