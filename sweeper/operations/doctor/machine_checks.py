"""Machine checks: processors, GPUs, memory, data, compiled loops, versions. Loads no torch."""

import os
import platform
import shlex
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from sweeper import __version__
from sweeper.config import registry
from sweeper.config.registry import dataset_files
from sweeper.errors import InputError
from sweeper.kernels import jit_cache
from sweeper.operations.doctor.findings import GIB, Check, Finding, findings, refusal
from sweeper.settings import DATA_VARIABLE, LOOPS_VARIABLE, WEBHOOK_VARIABLE, data_folder
from sweeper.trainers import cgroups
from sweeper.worker.webhook import webhook_url

LEAST_MEMORY = GIB
"""Bytes under which a worker may find no room."""

WEBHOOK_TODO = f"put an address that this machine reaches into {WEBHOOK_VARIABLE}, or none"
_CONNECT_SECONDS = 5.0

OTHER = f"give another: --data FOLDER, or {DATA_VARIABLE}"


def examine_machine(
    data: Path | None,
    *,
    cores: Callable[[], int],
    gpus: Callable[[], int],
    usable: Callable[[], int],
) -> Iterator[Finding]:
    """Yield the findings about this machine.

    `gpus` are those that the driver shows, `usable` those that torch is built for.
    """
    checks: list[Check] = [
        ("processors", "", lambda: Finding("processors", "ok", f"{cores()} for workers")),
        ("memory", "", _memory),
        ("torch", "pip install torch", lambda: _torch(gpus(), usable())),
        ("data folder", OTHER, lambda: _folder(data_folder(data))),
        ("datasets", "", lambda: _datasets(data)),
        ("compiled loops", "", _loops),
        ("webhook", WEBHOOK_TODO, _webhook),
        ("versions", "pip install sweeper", _versions),
    ]
    return findings(checks)


def _webhook() -> Finding:
    """Return the finding on the webhook: its host alone is shown, for the rest may be secret."""
    url = webhook_url()
    if url is None:
        return Finding("webhook", "ok", "not set")
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.hostname}"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((str(parts.hostname), port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Finding("webhook", "warning", f"{host} cannot be reached: {reason}", WEBHOOK_TODO)
    return Finding("webhook", "ok", f"{host} can be reached")


def _memory() -> Finding:
    free = cgroups.memory()
    if free is None:
        return Finding("memory", "ok", "unknown")
    result = f"{free / GIB:,.1f} GiB free"
    if free < LEAST_MEMORY:
        return Finding("memory", "warning", result, "fewer workers, or --pack 1")
    return Finding("memory", "ok", result)


def _torch(gpus: int, usable: int) -> Finding:
    torch_version = version("torch")
    if gpus and not usable:
        todo = "install a build of torch with CUDA"
        return Finding(
            "torch", "warning", f"{torch_version}, not built for the {gpus} GPUs here", todo
        )
    return Finding("torch", "ok", f"{torch_version}, {gpus or 'no'} GPU{'' if gpus == 1 else 's'}")


def _folder(folder: Path) -> Finding:
    if reason := refusal(folder):
        if os.access(folder, os.R_OK | os.X_OK):
            todo = f"what is there can be used; for other data {OTHER}"
            return Finding("data folder", "warning", f"cannot be written: {reason}", todo)
        return Finding("data folder", "wrong", f"cannot be written: {reason}", OTHER)
    if not folder.is_dir():
        todo = "it is made when data is fetched"
        return Finding("data folder", "warning", f"{folder} is not there yet", todo)
    return Finding("data folder", "ok", str(folder))


def _datasets(data: Path | None) -> Iterator[Finding]:
    there, missing = [], []
    try:
        folder = data_folder(data)
    except InputError:  # which the folder's own line says
        bundled = [name for name, dataset in registry.DATASETS.items() if dataset.bundled]
        yield Finding("datasets", "ok", f"{', '.join(bundled)}, which need no folder")
        return
    for name, dataset in registry.DATASETS.items():
        raw = dataset_files.raw_folder(folder, dataset)
        if unreadable := dataset_files.unreadable(raw, dataset):
            todo = f"let this account read it, or set {DATA_VARIABLE} to another folder"
            yield Finding("datasets", "wrong", f"{name}: {unreadable}", todo)
        elif damage := dataset_files.damage(raw, dataset):
            result = f"{name}: damaged: {'; '.join(map(' '.join, damage.items()))}"
            fetch = ["sweeper", "data", name, *(["--data", str(data)] if data else [])]
            # Not all have a folder of their own: SVHN lies in that of all datasets.
            files = [str(raw)] if dataset.folder else [str(raw / file) for file in damage]
            remove = ["rm", *(["-r"] if dataset.folder else []), *files]
            todo = f"{shlex.join(remove)}; {shlex.join(fetch)}"
            yield Finding("datasets", "wrong", result, todo)
        elif dataset_files.are_there(raw, dataset):
            there.append(name)  # or bundled with a package
        else:
            missing.append(name)
    todo = "fetched when needed, or by sweeper data NAME" if missing else ""
    result = ", ".join(there) + (f"; not there: {', '.join(missing)}" if missing else "")
    yield Finding("datasets", "ok", result, todo)


def _loops() -> Finding:
    """Return the finding on the cache of compiled loops, with which workers start sooner."""
    refusals = {folder: jit_cache.refusal(folder) for folder in jit_cache.folders()}
    folder = next((folder for folder, reason in refusals.items() if not reason), None)
    if folder is None:
        reasons = "; ".join(f"{folder}: {reason}" for folder, reason in refusals.items())
        todo = f"{LOOPS_VARIABLE}=FOLDER, one of your own"
        return Finding("compiled loops", "warning", f"compiled at each start: {reasons}", todo)
    if damage := jit_cache.damaged(folder):
        names = f"{damage[0]}{f' and {len(damage) - 1} more' if damage[1:] else ''}"
        todo = shlex.join(["rm", "-r", str(folder)])
        return Finding("compiled loops", "warning", f"{names}: damaged, compiled again", todo)
    return Finding("compiled loops", "ok", f"in {folder}")


def _versions() -> Finding:
    packages = ", ".join(f"{name} {version(name)}" for name in ("optuna", "sqlalchemy", "numpy"))
    result = f"sweeper {__version__}, Python {platform.python_version()}, {packages}"
    return Finding("versions", "ok", result)
