"""Trained network as a module for Python: of a file, or of a sweep's kept networks."""

from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.errors import InputError
from sweeper.operations.stored_network import find_network
from sweeper.store import Store
from sweeper.training.network_files import read_network
from sweeper.training.network_module import for_raw_examples, network_module

if TYPE_CHECKING:
    from torch import nn


def module_of_file(file: Path, *, normalise: bool, trust: bool) -> "nn.Module":
    """Return the network of a .safetensors file. Raises InputError, PluginError.

    Code that it names and that is not built in is called with `trust` alone.
    """
    description, tensors = read_network(file)
    if not description.is_built_in and not trust:
        text = f"is built by {description.model}, code that load_network calls with trust=True only"
        raise InputError(f"{file}: {text}")
    module = network_module(description, tensors, str(file))
    return for_raw_examples(module, description, str(file)) if normalise else module


def module_of_sweep(
    store: Store,
    name: str,
    artifacts: str | None,
    *,
    arm: str,
    at: int | None,
    trial: str | None,
    folder: Path | None,
    normalise: bool,
) -> "nn.Module":
    """Return the best of a sweep's kept networks, as `find_network` chooses it."""
    chosen = find_network(store, name, artifacts, arm=arm, at=at, trial=trial)
    described = chosen.description(folder, raw=normalise)
    return chosen.module(described, raw=normalise)
