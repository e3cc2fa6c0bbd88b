"""Scripts of a user's own as trials: their study files, and workers of these in this process."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.config.registry import FOLDER
from sweeper.store import Store
from sweeper.trainers import process_tree

ARMS: Mapping[str, Mapping[str, Any]] = {
    "dense": {},
    "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-5, 1e-2]}},
}
RESULT = '{"size": 100, "validation": 0.9, "test": 0.8}'


def script_sweep(name: str = "tiny", **changes: Any) -> Sweep:
    """Return a sweep of the function `train` in `script.py`, or of a command."""
    spec: dict[str, Any] = {
        "name": name,
        "parameters": {"rate": {"log_uniform": [0.01, 1]}, "epochs": 3},
        "search": {"sampler": "random", "trials": 2, "in_flight": 2, **changes.pop("search", {})},
        "arms": ARMS,
        **changes,
    }
    if "command" not in spec:
        spec.setdefault("trial", "script:train")
    return Sweep.model_validate(spec)


@contextmanager
def script_folder(folder: Path, text: str, file: str = "script.py") -> Iterator[Path]:
    """Be in a folder with a script in a `with` block."""
    before = Path.cwd(), FOLDER.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(dedent(text), encoding="utf-8")
    os.chdir(folder)
    FOLDER.begin()
    try:
        yield folder
    finally:
        os.chdir(before[0])
        FOLDER.folder = before[1]


def registered_script(url: str, sweep: Sweep) -> Store:
    """Return a store that holds the sweep."""
    store = Store(url)
    store.upgrade()
    lifecycle.register(store, sweep)
    return store


def left_behind(mark: str) -> list[int]:
    """Return the living processes whose environment or arguments hold a text."""
    found = []
    for path in process_tree.PROC.iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        try:
            words = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in words and state != "Z":
            found.append(int(path.name))
    return found
