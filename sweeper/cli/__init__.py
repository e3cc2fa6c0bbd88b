"""Command line: the program `sweeper`. A command loads the modules it needs, none loads torch."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: see `sweeper.cli.app`."""
    try:
        from sweeper.cli import app

        app.main(arguments)
    except KeyboardInterrupt:  # while modules are still loaded: no traceback of it
        sys.exit(130)


__all__ = ["main"]
