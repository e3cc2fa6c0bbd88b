"""Settings of the environment: names of variables, and the folders that they choose.

An account need not have a home folder, as in a container with any user's number.
"""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import InputError

OURS = "SWEEPER_"
"""Beginning of the names of all that are of this program alone."""
STORAGE_VARIABLE = "SWEEPER_STORAGE"
"""URL of the database."""
DEFAULT_STORAGE = "sqlite:///sweeper.db"
"""The database unless one is named."""
PASSWORD_FILE_VARIABLE = "SWEEPER_PASSWORD_FILE"  # noqa: S105  # where it is, not what
"""File with the password of the database."""
DATA_VARIABLE = "SWEEPER_DATA"
"""Folder of datasets."""
ARTIFACTS_VARIABLE = "SWEEPER_ARTIFACTS"
"""Place of saved networks: a folder, s3://BUCKET or gs://BUCKET."""
TRIALS_VARIABLE = "SWEEPER_TRIALS"
"""Folder of the files of trials that are trained by scripts."""
MIRRORS_VARIABLE = "SWEEPER_MIRRORS"
"""Other trackers that get each finished trial, such as mlflow; several with commas."""
WEBHOOK_VARIABLE = "SWEEPER_WEBHOOK"
"""Address that is told when a sweep is finished, has failed or stands still."""
PROGRESS_VARIABLE = "SWEEPER_PROGRESS"
"""0: commands do not say what goes on while they are silent."""
SHARED_BY_VARIABLE = "SWEEPER_SHARED_BY"
"""Number of workers that share a device: set by whoever starts several."""
PARENT_VARIABLE = "SWEEPER_PARENT"
"""Process id of the launcher: when it is gone, however it went, its workers stop."""
LOOPS_VARIABLE = "NUMBA_CACHE_DIR"
"""Folder of compiled loops, in which each user has one of their own."""

DASHBOARD_HOST, DASHBOARD_PORT = "127.0.0.1", 8080
"""Where the dashboard listens unless told otherwise."""
DASHBOARD_URL_VARIABLE = "SWEEPER_DASHBOARD_URL"
"""Address by which people reach the dashboard."""
TOKEN_VARIABLE = "SWEEPER_DASHBOARD_TOKEN"  # noqa: S105  # its name, not its value
"""Token that the dashboard asks for."""
TOKEN_FILE_VARIABLE = "SWEEPER_DASHBOARD_TOKEN_FILE"  # noqa: S105
"""File with that token."""
OPEN_VARIABLE = "SWEEPER_DASHBOARD_OPEN"
"""1: no token; then only this machine is answered."""
ALLOW_EDIT_VARIABLE = "SWEEPER_DASHBOARD_ALLOW_EDIT"
"""1: notes, studies and trials may be changed and deleted."""
PROXIES_VARIABLE = "SWEEPER_DASHBOARD_PROXIES"
"""Number of proxies before the dashboard."""
ACCESS_LOG_VARIABLE = "SWEEPER_DASHBOARD_ACCESS_LOG"
"""1: a line of JSON for each request and event."""


def dashboard_url(given: str | None = None) -> str | None:
    """Return the address by which people reach the dashboard: `given`, else SWEEPER_DASHBOARD_URL.

    It ends with a slash. A process in a container, or behind a proxy, cannot know it: None without
    both. Raises InputError.
    """
    url = (os.environ.get(DASHBOARD_URL_VARIABLE, "") if given is None else given).strip()
    if not url:
        return None
    if "@" in url:
        raise InputError(f"{DASHBOARD_URL_VARIABLE}: must hold no name and no password")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable():
        raise InputError(
            f"{DASHBOARD_URL_VARIABLE}: must be an address such as http://127.0.0.1:8080/, "
            f"got {url!r}"
        )
    return url if url.endswith("/") else f"{url}/"


def expand_home(path: str | Path, what: str) -> Path:
    """Return a path with `~` written out; `what` names it. Raises InputError without a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{what}: {path}: there is no such home folder: set HOME, or write the folder out"
        ) from None


def data_folder(folder: str | Path | None = None) -> Path:
    """Return the folder of datasets: `folder`, else SWEEPER_DATA, else the user's cache.

    Raises InputError for an account that has no home folder, where one is needed.
    """
    if folder:
        return expand_home(folder, "data folder")
    if chosen := os.environ.get(DATA_VARIABLE):
        return expand_home(chosen, DATA_VARIABLE)
    try:
        return _user_cache()
    except RuntimeError:
        raise InputError(
            f"no folder for datasets: this account has no home folder: set {DATA_VARIABLE} to a "
            "folder, or HOME"
        ) from None


def sweep_folder(name: str) -> Path:
    """Return the folder of what belongs to a sweep, within the current one."""
    return Path("sweeps") / name


def trials_folder(name: str, folder: str | Path | None = None) -> Path:
    """Return the folder of the trials of a sweep: below `folder`, else SWEEPER_TRIALS.

    Without both it lies beside the logs of its workers.
    """
    chosen = folder or os.environ.get(TRIALS_VARIABLE)
    if chosen:
        return expand_home(chosen, "trials folder") / name
    return sweep_folder(name) / "trials"


def cache_folders(folder: str | Path | None = None) -> tuple[Path, ...]:
    """Return where what was made of datasets may be kept, best first; `folder` is theirs.

    The next one is for where the one before cannot be written to. None without a home folder.
    """
    places = []
    with suppress(InputError):
        places.append(data_folder(folder) / ".cache")
    with suppress(RuntimeError):
        places.append(_user_cache() / ".cache")
    return tuple(dict.fromkeys(places))


def _user_cache() -> Path:
    """Return the folder of this user's cache. Raises RuntimeError without a home folder."""
    from platformdirs import user_cache_dir  # here, for few commands need it

    return Path(user_cache_dir("sweeper")).expanduser()
