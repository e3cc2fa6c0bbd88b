"""URL options of a server, after the '?': their names and types."""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import URL

from sweeper.errors import InputError, choices

Value = int | bool | str | None


def typed(url: URL) -> dict[str, Any]:
    """Return the options that are no texts, as the driver takes them. Raises InputError."""
    if not url.query:
        return {}
    parsers = _postgresql() if url.get_backend_name() == "postgresql" else _MYSQL
    values: dict[str, Any] = {}
    for key, value in url.query.items():
        if key not in parsers:
            raise InputError(f"storage: no such option in the URL: {choices(key, parsers)}")
        if key in _HOSTS:
            continue  # several are tried in turn
        if not isinstance(value, str):
            raise InputError(f"storage: option {key}: is given twice")
        kind = parsers[key]
        try:
            parsed = kind(value)
        except ValueError as error:
            raise InputError(f"storage: option {key}: {error}, got {value!r}") from None
        if kind is not _text and key not in _NESTED:
            values[key] = parsed
    return values


def _text(value: str) -> str:
    return value


def _number(value: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise ValueError("must be a whole number")
    return int(value)


def _threshold(value: str) -> int | None:
    if value.lower() == "none":
        return None
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("must be a whole number >= 0, or none")
    return int(value)


def _flag(value: str) -> bool:
    flags = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in flags:
        raise ValueError("must be true or false")
    return flags[value.lower()]


_HOSTS = frozenset({"host", "port"})
_NESTED = frozenset({"ssl_check_hostname"})
"""Options that SQLAlchemy itself reads, for an argument that holds several."""
_NUMBERS = frozenset(
    {
        "connect_timeout",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
_MYSQL: dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), _number),
    "max_allowed_packet": _number,
    **dict.fromkeys(("ssl_check_hostname", "ssl_disabled"), _flag),
    **dict.fromkeys(("ssl_ca", "ssl_capath", "ssl_cert", "ssl_cipher", "ssl_key"), _text),
    **dict.fromkeys(("bind_address", "charset", "collation", "host", "init_command"), _text),
    **dict.fromkeys(("password", "program_name", "read_default_file"), _text),
    **dict.fromkeys(("read_default_group", "server_public_key", "sql_mode", "unix_socket"), _text),
}


def _postgresql() -> dict[str, Callable[[str], Value]]:
    """Return the options of the installed libpq, and psycopg's own."""
    from psycopg import pq

    keys = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
    # Which database it is stands before the '?'; a session of replication takes no transactions.
    keys -= {"dbname", "replication"}
    kinds: dict[str, Callable[[str], Value]] = {
        key: _number if key in _NUMBERS else _text for key in keys
    }
    return kinds | {"prepare_threshold": _threshold}
