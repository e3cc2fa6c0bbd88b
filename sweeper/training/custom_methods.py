"""Custom methods: classes of other packages that an arm names, and what they say of themselves."""

from collections.abc import Mapping, Sequence

import torch

from sweeper.config.registry import METHODS, Hyperparameter, load
from sweeper.errors import PluginError
from sweeper.training.methods import Method, batched, finishes_once
from sweeper.types import MethodConfig, Scalar

Pairs = tuple[tuple[str, Scalar], ...]


def method_class(name: str) -> type[Method]:
    """Import a method of a user's own, `package.module:Class`. Raises PluginError."""
    loaded = load(name)
    if not isinstance(loaded, type) or not issubclass(loaded, Method) or loaded is Method:
        kind = "a class that is none" if isinstance(loaded, type) else f"a {type(loaded).__name__}"
        raise PluginError(f"{name}: must be a subclass of sweeper.Method, is {kind}")
    entries: object = loaded.hyper
    density: object = loaded.takes_density
    known = isinstance(entries, Mapping) and all(
        isinstance(key, str) and isinstance(entry, Hyperparameter) for key, entry in entries.items()
    )
    if not known:
        text = "its `hyper` must be a mapping of names to sweeper.Hyperparameter"
        raise PluginError(f"{name}: {text}")
    if not isinstance(density, bool):
        raise PluginError(f"{name}: its `takes_density` must be True or False")
    return loaded


def with_defaults_of(method: type[Method], hyper: Pairs) -> Pairs:
    """Return hyperparameters with the defaults of those that are not said, numbers as floats."""
    entries, said = method.hyper, dict(hyper)
    further = [(name, value) for name, value in hyper if name not in entries]
    declared = [(name, said.get(name, entry.default)) for name, entry in entries.items()]
    return (
        *((key, value if entries[key].choices else float(value)) for key, value in declared),
        *further,
    )


def takes_density(name: str) -> bool:
    """Tell whether a method brings a network to the trial's density by itself."""
    if name == "plain":
        return False
    return METHODS[name].takes_density if name in METHODS else method_class(name).takes_density


def is_seen_in_training(name: str) -> bool:
    """Tell whether the network that a method leaves is known while it is trained."""
    return name == "plain" or name in METHODS or not finishes_once(method_class(name))


def made(configs: Sequence[MethodConfig], device: torch.device) -> Method:
    """Return the method of configurations that differ in numbers alone."""
    name = configs[0].name
    if name == "plain":
        return Method()
    if name not in METHODS:
        outside = method_class(name)
        return outside(
            **batched([with_defaults_of(outside, config.hyper) for config in configs], device)
        )
    hyper = batched([config.hyper for config in configs], device)
    entry = METHODS[name]
    if entry.has_strength:
        strengths = [config.own_strength for config in configs]
        hyper["strength"] = torch.tensor(strengths, device=device)
    method: Method = load(entry.factory)(**hyper)
    return method
