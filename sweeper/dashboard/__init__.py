"""Dashboard: Optuna's and the pages of sweeps, behind a token where others can reach them.

Names are loaded when they are first used: see `wsgi`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.dashboard.server.application import Application
    from sweeper.dashboard.server.serve import serve
    from sweeper.dashboard.server.tokens import token_from_environment

_HOME = {
    "Application": "sweeper.dashboard.server.application",
    "token_from_environment": "sweeper.dashboard.server.tokens",
    "serve": "sweeper.dashboard.server.serve",
}

__all__ = ["Application", "serve", "token_from_environment"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sweeper.dashboard' has no attribute {name!r}")
