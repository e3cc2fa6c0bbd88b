"""Processes of a test: waiting for a condition, mounts that only one process sees."""

import os
import subprocess
import time
from collections.abc import Callable

import pytest

LONG = 240.0
"""Seconds for which what others do is waited for, by `timeout=240` too: many more than a slow and
busy machine takes. What holds soon costs nothing of it."""


def wait_for(condition: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until a condition holds; an AssertionError after too long."""
    until = time.monotonic() + seconds
    pause = 0.02
    while not condition():
        assert time.monotonic() < until, "waited for too long"
        time.sleep(pause)
        pause = min(0.2, 1.2 * pause)  # looking takes the time of those who are waited for


def mount_namespace() -> list[str]:
    """Return the command that runs another with mounts of its own; skips where none is lent."""
    command = ["unshare", "--mount"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lends no mount namespace")
    return command
