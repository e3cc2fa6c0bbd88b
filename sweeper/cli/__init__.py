"""The `sweeper` command. Every module is loaded by the command that needs it, none with torch."""

from sweeper.cli.app import main

__all__ = ["main"]
