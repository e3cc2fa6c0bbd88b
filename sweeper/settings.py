"""Folders of an account: not every one has a home, as in a container with any user's number."""

from pathlib import Path

from platformdirs import user_cache_dir

from sweeper.errors import InputError


def expand_home(path: str | Path, what: str) -> Path:
    """Return a path with `~` written out; `what` names it. Raises InputError without a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{what}: {path}: there is no such home folder: set HOME, or write the folder out"
        ) from None


def cache_folder() -> Path:
    """Return the account's folder for what can be fetched again. Raises InputError without one."""
    try:
        return Path(user_cache_dir("sweeper")).expanduser()
    except RuntimeError:
        raise InputError(
            "no folder for datasets: this account has no home folder: set SWEEPER_DATA to a "
            "folder, or HOME"
        ) from None
