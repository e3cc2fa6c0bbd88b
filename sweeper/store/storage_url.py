"""Storage URLs: the full form for drivers, and a safe form for people."""

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from sweeper.errors import InputError, choices
from sweeper.redact import HIDDEN, hide, is_secret
from sweeper.settings import PASSWORD_FILE_VARIABLE, expand_home

# scheme -> driver, its module, what to install for it
_DRIVERS = {
    "sqlite": ("sqlite", "sqlite3", ""),
    "postgresql": ("postgresql+psycopg", "psycopg", "sweeper"),
    "postgres": ("postgresql+psycopg", "psycopg", "sweeper"),
    "mysql": ("mysql+pymysql", "pymysql", "'sweeper[mysql]'"),
    "mariadb": ("mariadb+pymysql", "pymysql", "'sweeper[mysql]'"),
}
_FORMS = "sqlite:///file.db, postgresql://user:password@host/database or mysql://..."


@dataclass(frozen=True, slots=True)
class StorageUrl:
    """A storage URL that has been understood."""

    full: str = field(repr=False)
    """With the password: for drivers and Optuna only."""
    safe: str
    """Without any password: for people."""
    url: URL = field(repr=False)
    file: Path | None
    """The SQLite file, else None."""
    secrets: tuple[str, ...] = field(repr=False)
    """Values that must not appear in any text."""

    def redact(self, text: str) -> str:
        """Return a text, of the driver or the server, without any password."""
        return hide(text, self.secrets)


def parse_storage_url(text: str) -> StorageUrl:
    """Understand a storage URL. Raises InputError, whose text never holds a password."""
    if "://" not in text:
        raise InputError(f"storage: must be a URL such as {_FORMS}{_given(text)}")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError(f"storage: is no URL such as {_FORMS}{_given(text)}") from None
    if "@" in (url.host or ""):
        raise InputError("storage: '@' within a password must be written as %40")
    scheme, _, driver = url.drivername.partition("+")
    if scheme not in _DRIVERS:
        raise InputError(f"storage: no such kind of database: {choices(scheme, _DRIVERS)}")
    full_driver, module, package = _DRIVERS[scheme]
    if driver and driver not in (full_driver.partition("+")[2], "pysqlite"):
        raise InputError(f"storage: driver {driver!r} is not supported, leave '+{driver}' out")
    if find_spec(module) is None:
        raise InputError(f"storage: {scheme} needs its driver: pip install {package}")
    if scheme == "sqlite":
        return _sqlite(url)
    if not url.database:
        raise InputError(f"storage: {_hidden(url)} names no database (what follows the host)")
    url = _socket(url.set(drivername=full_driver), full_driver)
    if url.username and not _secrets(url) and (file := os.environ.get(PASSWORD_FILE_VARIABLE)):
        url = url.set(password=_password_of(expand_home(file, PASSWORD_FILE_VARIABLE)))
    return _finished(url, None)


def _socket(url: URL, driver: str) -> URL:
    """Have the driver get a socket's folder, written as the host: `%2Fvar%2Frun%2Fpostgresql`."""
    host = unquote(url.host or "")
    if not host.startswith(("/", "@")):
        return url
    port = {"port": str(url.port)} if url.port else {}
    place = {"host": host, **port} if driver.startswith("postgresql") else {"unix_socket": host}
    query = {**url.query, **place}
    return URL.create(driver, url.username, url.password, database=url.database, query=query)


def _password_of(file: Path) -> str:
    def refused(what: str) -> InputError:
        allowed = "must name a file that holds the storage's password in one line"
        return InputError(f"{PASSWORD_FILE_VARIABLE}: {file}: {what}; {allowed}")

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise refused(error.strerror or "cannot be read") from error
    except UnicodeDecodeError:
        raise refused("is no text in UTF-8") from None
    password = text.rstrip("\r\n")
    if not password:
        raise refused("is empty")
    if len(password.splitlines()) > 1 or "\0" in password:
        raise refused("holds more than one line")
    return password


def _sqlite(url: URL) -> StorageUrl:
    if url.host:
        raise InputError(f"storage: a file needs three slashes: sqlite:///{url.host}")
    if url.query:
        raise InputError("storage: a SQLite URL takes no options after '?'")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise InputError("storage: SQLite needs a file: workers are processes of their own")
    file = expand_home(url.database, "storage").absolute()
    return _finished(URL.create("sqlite", database=str(file)), file)


def _finished(url: URL, file: Path | None) -> StorageUrl:
    full = url.render_as_string(hide_password=False)
    return StorageUrl(full, _hidden(url), url, file, _secrets(url))


def _secrets(url: URL) -> tuple[str, ...]:
    values = [str(value) for key, value in url.query.items() if is_secret(key)]
    return tuple(filter(None, [str(url.password or ""), *values]))


def _hidden(url: URL) -> str:
    # libpq takes passwords as options too.
    masked = {key: HIDDEN for key in url.query if is_secret(key)}
    text = url.update_query_dict(masked).render_as_string(hide_password=True)
    return text.replace("%2A%2A%2A", HIDDEN)


def _given(text: str) -> str:
    return "" if "@" in text or "pass" in text.lower() else f", got {text!r}"
