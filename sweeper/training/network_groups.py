"""Groups of a pack: neighbours that share a method and, up to their numbers, penalties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch

from sweeper.training.custom_methods import made
from sweeper.training.methods import Method, is_steady
from sweeper.training.penalties import Penalties, penalties
from sweeper.training.stack import NetworkRange
from sweeper.types import MethodConfig, Scalar, TrialConfig


@dataclass(frozen=True, slots=True, eq=False)
class NetworkGroup:
    """Some networks of a pack, and what trains them beside the optimizer."""

    networks: NetworkRange
    method: Method = field(default_factory=Method)
    penalties: Penalties = field(default_factory=Penalties)

    @property
    def capturable(self) -> bool:
        """Whether a step up to its schedules is the same program of one device each time."""
        return self.penalties.capturable and is_steady(self.method)


def static_part(config: MethodConfig) -> tuple[Any, ...]:
    """Return what must be equal for two trials to share a group: all but the floats."""
    terms = tuple(
        (term.penalty, term.apply, term.shuffled, term.during, term.ramp, _static(term.hyper))
        for term in config.terms
    )
    return config.name, _static(config.hyper), terms


def network_groups(
    configs: Sequence[TrialConfig], device: torch.device
) -> tuple[NetworkGroup, ...]:
    """Cut a pack into runs of neighbours with equal static parts."""
    return tuple(_groups([config.method for config in configs], device))


def parts_to_train(
    configs: Sequence[TrialConfig], *, captures: bool
) -> tuple[tuple[int, ...], ...]:
    """Return the places of the configurations that are trained together.

    All of them, but where a GPU captures steps: those whose steps a graph can hold go apart from
    the others, for which all kernels of a mixed pack would be started from Python one by one.
    """
    if not captures:
        return (tuple(range(len(configs))),)
    keys = [repr(static_part(config.method)) for config in configs]
    examples, cpu = dict(zip(keys, configs, strict=True)), torch.device("cpu")
    held = {key: network_groups([config], cpu)[0].capturable for key, config in examples.items()}
    parts = [tuple(k for k, key in enumerate(keys) if held[key] is way) for way in (True, False)]
    return tuple(part for part in parts if part)


def _groups(methods: Sequence[MethodConfig], device: torch.device) -> Iterator[NetworkGroup]:
    start = 0
    for _, run in groupby(methods, key=lambda method: repr(static_part(method))):
        members = list(run)
        networks = NetworkRange(start, start + len(members))
        terms = penalties([method.terms for method in members], device)
        yield NetworkGroup(networks, made(members, device), terms)
        start = networks.stop


def _static(hyper: Sequence[tuple[str, Scalar]]) -> tuple[Any, ...]:
    return tuple((name, None if isinstance(value, float) else value) for name, value in hyper)
