"""`python -m kmc` and the program `kmc`."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from kmc.cli import main

        code = main()
    except KeyboardInterrupt:  # while the command line itself was loaded
        print("interrupted", file=sys.stderr)
        code = 3
    sys.exit(code)


if __name__ == "__main__":
    run()
