"""Description of a network in the metadata of its file: architecture, inputs, outputs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sweeper.config import Sweep
from sweeper.config.registry import MODELS
from sweeper.errors import InputError, choices
from sweeper.types import Normalisation, Options, Provenance, SharedConfig

T = TypeVar("T")
ENDINGS = (".safetensors", ".pt2", ".onnx")
"""Endings of the files that networks are written to."""


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """A network apart from its weights."""

    model: str
    """Name in the registry, or `package.module:factory`."""
    options: Options
    shape: tuple[int, ...]
    """Of one example."""
    classes: int
    labels: tuple[str, ...] = ()
    """Names of the classes, where the dataset has any."""
    normalisation: Normalisation | None = None
    """From raw examples to those that the network takes; None: they are the same."""
    takes_raw: bool | None = None
    """Whether `normalisation` is in the network already; None if the numbers are not known."""

    @classmethod
    def of(cls, sweep: Sweep, recipe: SharedConfig, provenance: Provenance) -> "NetworkDescription":
        """Return the description of a network that a recipe of a sweep has trained.

        Results of older versions lack the numbers of the normalisation.
        """
        normalisation = provenance.normalisation
        is_known = normalisation is not None or not sweep.dataset.in_registry
        return cls(
            model=recipe.model,
            options=recipe.model_options,
            shape=sweep.data.shape,
            classes=sweep.data.classes,
            labels=sweep.data.labels,
            normalisation=normalisation,
            takes_raw=False if is_known else None,
        )

    @property
    def is_built_in(self) -> bool:
        """Whether the network comes with sweeper: no code of anybody else's is called for it."""
        return self.model in MODELS

    def with_normalisation(self, normalisation: Normalisation | None) -> "NetworkDescription":
        """Return the description with the numbers of the normalisation, known now."""
        return replace(self, normalisation=normalisation, takes_raw=False)

    def with_raw_inputs(self) -> "NetworkDescription":
        """Return the description of the network with its normalisation as its first layer."""
        return replace(self, takes_raw=True)

    def metadata(self) -> dict[str, str]:
        """Return it as metadata of a file: text by key, numbers as JSON."""
        values: dict[str, Any] = {
            "options": dict(self.options),
            "shape": self.shape,
            "classes": self.classes,
            "labels": self.labels,
        }
        if self.takes_raw is not None:
            pair = self.normalisation and {
                "mean": self.normalisation.mean,
                "deviation": self.normalisation.deviation,
            }
            values |= {"normalisation": pair, "takes_raw": self.takes_raw}
        return {"model": self.model} | {key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> "NetworkDescription":
        """Return the description that a file of that name holds. Raises InputError."""

        def read(key: str, form: Callable[[Any], T]) -> T:
            try:
                return form(json.loads(metadata[key]))
            except KeyError:
                text = "was written by an older version of sweeper" if "model" in metadata else ""
                raise InputError(f"{name}: has no {key}: {text or 'is no network'}") from None
            except (ArithmeticError, AttributeError, TypeError, ValueError, RecursionError):
                raise InputError(f"{name}: {key}: makes no sense") from None

        is_known = "normalisation" in metadata
        return cls(
            model=metadata.get("model", ""),
            options=read("options", _options),
            shape=read("shape", lambda value: tuple(int(side) for side in value)),
            classes=read("classes", int),
            labels=read("labels", lambda value: tuple(map(str, value))),
            normalisation=read("normalisation", _normalisation) if is_known else None,
            takes_raw=read("takes_raw", bool) if is_known else None,
        )


def check_ending(path: Path) -> None:
    """Raise InputError for the name of a file that no network is written to."""
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: ends otherwise: {choices(path.suffix, ENDINGS)}")


def _options(value: Any) -> Options:
    return tuple(
        (str(key), tuple(map(int, option)) if isinstance(option, list) else option)
        for key, option in value.items()
    )


def _normalisation(value: Any) -> Normalisation | None:
    if value is None:
        return None
    mean, deviation = (tuple(map(float, value[key])) for key in ("mean", "deviation"))
    return Normalisation(mean, deviation)
