"""Surroundings of doctests: a folder with finished sweeps, where examples speak of them."""

from support.documented_sweeps import documented, documented_folder

__all__ = ["documented", "documented_folder"]
