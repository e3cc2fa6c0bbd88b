"""Processes of a test: waiting for a condition, mounts that only one process sees."""

import os
import subprocess
import time
from collections.abc import Callable

import pytest


def wait_for(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait until a condition holds; an AssertionError after too long."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited for too long"
        time.sleep(0.02)


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
