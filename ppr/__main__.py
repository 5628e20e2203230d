"""`python -m ppr`: the same as `ppr`."""

from ppr.cli.main import main

main()
