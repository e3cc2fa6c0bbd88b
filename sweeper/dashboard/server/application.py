"""WSGI application of both dashboards: Optuna's, and the pages of sweeps."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import bottle
import optuna

from sweeper.dashboard.server.downloads import Downloads
from sweeper.dashboard.server.optuna_page import OptunaPage
from sweeper.dashboard.sweeps import PageSources, is_sweep_path, refuse_unrouted, sweep_app
from sweeper.errors import StorageError
from sweeper.search.artifacts import artifact_store
from sweeper.search.optuna_storage import open_optuna_storage
from sweeper.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


PATIENCE = 2.0
"""Seconds for which our pages wait for a database that is away."""


class Application:
    """The pages of sweeps at / and under /sweeps, and the Optuna dashboard elsewhere.

    `sweep_app` and `optuna_app` are the two of them, Bottle applications with their routes.
    """

    def __init__(
        self, store: Store, artifacts: str | None = None, *, read_only: bool = True
    ) -> None:
        """Create Optuna's tables if absent. `read_only` is how Optuna's pages show themselves.

        `artifacts` is the place of the files of trials, which people may download. Raises
        StorageError if the database cannot be reached or is of another Optuna's schema.
        """
        from optuna_dashboard import wsgi

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Of the importance of parameters while few networks are there: all are equal then.
        warnings.filterwarnings("ignore", "Target and region quantiles select the same set")
        files = artifact_store(artifacts, may_come=True) if artifacts else None
        # Not the small pools of workers: many people may look at the same time.
        options = {**store.engine_options, "pool_size": 5, "max_overflow": 20}
        try:
            self._storage = open_optuna_storage(store.url, options, store.patience)
        except (ImportError, RuntimeError) as error:  # no driver; another Optuna's schema
            raise StorageError(f"{store.safe_url}: {str(error).splitlines()[0]}") from error
        self.optuna_app: bottle.Bottle = wsgi(self._storage, artifact_store=files)
        self.optuna_app.install(Downloads())
        self.optuna_app.install(OptunaPage(read_only=read_only))
        self.optuna_app.default_error_handler = refuse_unrouted  # of addresses of nobody
        # Not the patience of a command: viewers ask again, and hold a thread while they wait.
        self._store = store.reconnect(replace(store.patience, seconds=PATIENCE))
        self.sweep_app = sweep_app(PageSources(self._store, self._storage, artifacts))

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # Optuna's relies on it
        app = self.sweep_app if is_sweep_path(environ.get("PATH_INFO", "")) else self.optuna_app
        return cast("Iterable[bytes]", app(environ, start))

    def close(self) -> None:
        """Close the connections to the database."""
        self._store.close()
        self._storage.remove_session()
        self._storage.engine.dispose()
