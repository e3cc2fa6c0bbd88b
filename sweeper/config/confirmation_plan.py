"""Configurations that a finished search has chosen, to be trained again with fresh seeds."""

from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sweeper.config.domains import Section, StrictInt, omit_defaults
from sweeper.config.sections import Count, Name
from sweeper.types import Scalar

SUFFIX = "/confirmed"
"""Ends the name of a confirmation, and of its Optuna studies; no study file can have it."""


def confirmation_name(name: str) -> str:
    """Return the name that the confirmation of a sweep is registered under.

    >>> confirmation_name("lenet300-mnist")
    'lenet300-mnist/confirmed'
    """
    return name + SUFFIX


def is_confirmation(name: str) -> bool:
    """Return True for the name of a confirmation."""
    return name.endswith(SUFFIX)


class SelectedConfig(Section):
    """The best configuration of one search within some sizes."""

    repeat: StrictInt
    slot: StrictInt
    """Of the search: where its parameters come from."""
    rung: StrictInt = 0
    """Of the ladder: which of the networks of its training."""
    params: dict[str, Scalar]
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    """The sizes, nonzero parameters, within which it was the best on validation."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), rung=0)


class ConfirmationPlan(Section):
    """Trainings of a confirmation: each chosen configuration once with every seed."""

    of: Name
    """The sweep that was searched."""
    digest: str
    """Its digest then."""
    seeds: Count
    sizes: tuple[Count, ...]
    """All sizes that were asked for."""
    chosen: dict[Name, tuple[SelectedConfig, ...]]
    """By arm; in the order of repeats and sizes."""

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        return confirmation_name(self.of)

    def slots(self, arm: str) -> tuple[tuple[int, int], ...]:
        """Return (repeat, number) of every training of an arm.

        A configuration is trained once for all of its rungs. The seed comes first in the number:
        with more seeds the earlier slots stay as they are, and slots of one number share seed, data
        order and so a pack, whatever their arm.
        """
        return tuple(
            (config.repeat, seed * len(self.sizes) + self.sizes.index(config.sizes[0]))
            for seed in range(self.seeds)
            for config in self._trainings(arm)
        )

    @property
    def trials(self) -> int:
        """Number of all trainings."""
        return sum(len(self.slots(arm)) for arm in self.chosen)

    def at(self, arm: str, repeat: int, number: int) -> tuple[SelectedConfig, int]:
        """Return the configuration of a slot, at one of its rungs, and its seed, counted from 0.

        Raises KeyError.
        """
        seed, place = divmod(number, len(self.sizes))
        for config in self._trainings(arm):
            if config.repeat == repeat and config.sizes[0] == self.sizes[place]:
                return config, seed
        raise KeyError((arm, repeat, number))

    def _trainings(self, arm: str) -> tuple[SelectedConfig, ...]:
        """Return each configuration that is trained, at the rung that was chosen first."""
        first: dict[tuple[int, int], SelectedConfig] = {}
        for config in self.chosen[arm]:
            first.setdefault((config.repeat, config.slot), config)
        return tuple(first.values())

    def repeats(self, arm: str) -> tuple[int, ...]:
        """Return the repeats in which anything was chosen."""
        return tuple(dict.fromkeys(config.repeat for config in self.chosen[arm]))

    @model_validator(mode="after")
    def _sizes_are_known(self) -> Self:
        for arm, configs in self.chosen.items():
            places = [(config.repeat, config.sizes[0]) for config in configs]
            if len(set(places)) < len(places) or any(
                size not in self.sizes for config in configs for size in config.sizes
            ):
                raise ValueError(f"{arm}: two configurations of one repeat stand at one size")
        return self
