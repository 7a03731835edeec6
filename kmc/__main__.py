"""`python -m kmc` and the program `kmc`."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line and leave with its exit code."""
    from kmc.cli import main

    sys.exit(main())


if __name__ == "__main__":
    run()
