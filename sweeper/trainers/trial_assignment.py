"""Trial assignment: all that a script is told of its trial, for another process to read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sweeper.settings import DATA_VARIABLE, OURS
from sweeper.types import PenaltyConfig, Scalar, TrialTask


@dataclass(frozen=True, slots=True)
class TrialAssignment:
    """What stands in a `Trial`, as plain values."""

    params: tuple[tuple[str, Scalar], ...]
    seed: int
    order_seed: int
    arm: str
    repeat: int
    slot: int
    attempt: int
    folder: str
    device: str
    data: str | None
    terms: tuple[PenaltyConfig, ...]

    @classmethod
    def of(cls, task: TrialTask, *, folder: str, device: str, data: str | None) -> Self:
        """Return what the script of a task is told."""
        config = task.config
        return cls(
            params=config.values,
            seed=config.init_seed,
            order_seed=config.recipe.order_seed,
            arm=task.slot.arm,
            repeat=task.slot.repeat,
            slot=task.slot.number,
            attempt=task.attempt,
            folder=folder,
            device=device,
            data=data,
            terms=config.method.terms,
        )

    def to_message(self) -> dict[str, Any]:
        """Return it for a channel."""
        return asdict(self)

    @classmethod
    def of_message(cls, raw: Mapping[str, Any]) -> Self:
        """Return what `to_message` was made of."""
        terms = tuple(
            PenaltyConfig(
                **{
                    **term,
                    "hyper": tuple((name, value) for name, value in term["hyper"]),
                    "during": tuple(term["during"]),
                }
            )
            for term in raw["terms"]
        )
        params = tuple((name, value) for name, value in raw["params"])
        return cls(**{**raw, "params": params, "terms": terms})

    @property
    def given(self) -> dict[str, Scalar]:
        """What a command is given by `{name}`."""
        return {
            **dict(self.params),
            "folder": self.folder,
            "device": self.device,
            "data": self.data or "",
            "seed": self.seed,
            "order_seed": self.order_seed,
            "arm": self.arm,
            "repeat": self.repeat,
            "slot": self.slot,
            "attempt": self.attempt,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a command is given by environment variables."""
        names = ("seed", "order_seed", "folder", "device", "arm", "repeat", "slot", "attempt")
        given = {f"{OURS}{name.upper()}": str(self.given[name]) for name in names}
        if self.data is not None:
            given[DATA_VARIABLE] = self.data
        return {
            **given,
            f"{OURS}PARAMS": json.dumps(dict(self.params)),
            f"{OURS}PENALTY": json.dumps([asdict(term) for term in self.terms]),
        }


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a script: without the address of the database, above all."""
    return {name: value for name, value in environment.items() if not name.startswith(OURS)}
