"""Server sessions: limits on held locks and silence, and the answer of a standby.

A plugin of SQLAlchemy, since Optuna makes an engine of its own from the same options.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import URL, CreateEnginePlugin, ExceptionContext

from sweeper.retry import is_read_only

HOLD = 20
"""Seconds for which a session may hold locks and say nothing: its process may be stopped, or its
network cut, and everybody else waits for it."""
LOCK_TIMEOUT = 30
"""Seconds for which a server lets a statement wait for a lock before it is tried again."""
PLUGIN = "sweeper_sessions"

_POOLED = "sweeper_pooled"
_TIMEOUTS = {
    "idle_in_transaction_session_timeout": f"{HOLD}s",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
}
# A peer that is gone without a word is noticed in half a minute, at both ends.
_KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Sessions(CreateEnginePlugin):
    """Sets the timeouts of PostgreSQL's sessions, unless the URL says `options` itself.

    Not by `options` when connecting: poolers refuse them. A session that is this client's own is
    set once; behind a pooler each transaction is, for it may be in another session than the last.
    """

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        self._sets = url.get_backend_name() == "postgresql" and "options" not in url.query

    def update_url(self, url: URL) -> URL:
        """Return the URL as it is."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Attach the listeners to a new engine."""
        event.listen(engine, "handle_error", _drop_standbys)
        if self._sets:
            event.listen(engine, "connect", _connected)
            event.listen(engine, "begin", _begins)


plugins.register(PLUGIN, __name__, Sessions.__name__)


def _connected(connection: Any, record: Any) -> None:
    """Look whether a session is the client's own, and set it if so."""
    connection.autocommit = True
    # A pooler makes up the process that it names when connecting.
    (process,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    record.info[_POOLED] = process != connection.info.backend_pid
    if not record.info[_POOLED]:
        connection.execute(_setting(_TIMEOUTS | _KEEPALIVES, local=False))
    connection.autocommit = False


def _begins(connection: Connection) -> None:
    if is_pooled(connection):
        connection.exec_driver_sql(_setting(_TIMEOUTS, local=True))


def is_pooled(connection: Connection) -> bool:
    """Tell whether a pooler lies between this client and PostgreSQL."""
    return bool(connection.info.get(_POOLED))


def _drop_standbys(context: ExceptionContext) -> None:
    # The same name may lead to the new primary, but only a new connection finds that out.
    if is_read_only(context.original_exception):
        context.is_disconnect = True


def _setting(values: dict[str, str], *, local: bool) -> str:
    flag = str(local).lower()
    return "SELECT " + ", ".join(
        f"set_config('{name}', '{value}', {flag})" for name, value in values.items()
    )
