"""Optuna's experimental features without its warnings about them."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning

_alone = threading.RLock()  # catch_warnings changes what is global


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence ExperimentalWarning in this block only; the version of Optuna is bounded."""
    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
