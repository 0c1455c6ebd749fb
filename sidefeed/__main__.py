"""``python -m sidefeed``: the same as the console script."""

from sidefeed.cli import main

main()
