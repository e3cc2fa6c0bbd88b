"""Interrupts by Ctrl-C, remembered: a library may lose the exception that one raises.

While modules are loaded and objects are freed, Python calls functions whose exceptions it ignores,
and libraries catch any error of an optional import. Who comes to wait asks whether it came.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_came: list[int] = []
"""Signals that have come."""


@contextmanager
def remembered() -> Iterator[None]:
    """Remember a Ctrl-C of a `with` block, where it raises KeyboardInterrupt as usual."""
    _came.clear()
    # Elsewhere it is ignored, or somebody's; and no other thread gets signals.
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    is_default = is_default and threading.current_thread() is threading.main_thread()
    if is_default:
        signal.signal(signal.SIGINT, _receive)
    try:
        yield
    finally:
        _came.clear()
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def came() -> bool:
    """Return True if a Ctrl-C has come."""
    return bool(_came)


def _receive(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    signal.default_int_handler(number, frame)
