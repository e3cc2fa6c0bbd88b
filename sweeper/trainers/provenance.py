"""Provenance of results: versions, commit, processor, data."""

import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sweeper
from sweeper.types import Normalisation, Provenance

_ROOT = Path(sweeper.__file__).resolve().parents[1]


def gather_provenance(
    *,
    device: str,
    processor: str,
    threads: int,
    data_hash: str,
    normalisation: Normalisation | None = None,
) -> Provenance:
    """Return the provenance of everything that this process trains."""
    return Provenance(
        sweeper=sweeper.__version__,
        python=platform.python_version(),
        torch=_version("torch"),
        optuna=_version("optuna"),
        git_commit=git_commit(),
        device=device.partition(":")[0],
        processor=processor or cpu_name(),
        threads=threads,
        data_hash=data_hash,
        host=socket.gethostname(),
        normalisation=normalisation,
    )


@cache
def git_commit() -> str:
    """Return the commit of the checkout that sweeper runs from, `-dirty` if changed, else ''."""
    if _git("rev-parse", "--show-toplevel") != str(_ROOT):
        return ""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and changed else commit


@cache
def cpu_name() -> str:
    """Return the name of the CPU as its maker writes it, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _git(*words: str) -> str:
    try:
        command = ["git", "-C", str(_ROOT), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
