"""The study file as frozen values: `Sweep` and its parts."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, field_validator, model_validator

from sweeper.catalogue import (
    DATASETS,
    MODELS,
    OPTIMIZERS,
    SAMPLERS,
    SCHEDULES,
    SLOT_SAMPLERS,
    Dataset,
    count_parameters,
)
from sweeper.errors import choices
from sweeper.results import Options, Recipe, Scalar, Track, TrialConfig
from sweeper.spec.arms import Arm, Problems
from sweeper.spec.domains import Domain, Fraction, Frozen, Positive, Unit, grid_size
from sweeper.spec.reading import build, parse

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _named(what: str, allowed: Mapping[str, object] | tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"no such {what}: {choices(value, allowed)}")
        return value

    return AfterValidator(check)


def _plain_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"must be 1-64 letters, digits, '.', '_' or '-', got {value!r}")
    return value


Name = Annotated[str, AfterValidator(_plain_name)]
Count = Annotated[int, Field(ge=1)]


class ModelChoice(Frozen):
    """A network: a name from the catalogue or `package.module:factory`, with its options."""

    name: str
    widths: tuple[Count, ...] | None = None
    options: dict[str, Scalar] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Accept `lenet-5`, `mlp(64, 32)` and `package.module:factory` as text."""
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"mlp\(([\d\s,]*)\)", value.strip())
        if match:
            return {"name": "mlp", "widths": [int(part) for part in match[1].split(",") if part]}
        return {"name": value.strip()}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if ":" in self.name:
            return self
        if self.name not in MODELS:
            allowed = [*MODELS, "package.module:factory"]
            raise Problems([("", f"no such model: {choices(self.name, allowed)}")])
        if (self.name == "mlp") != (self.widths is not None):
            raise Problems([("widths", "required for mlp, such as mlp(64, 32), and only there")])
        if self.options:
            raise Problems([("options", "only a package.module:factory takes options")])
        return self

    @property
    def hidden(self) -> tuple[int, ...] | None:
        """Hidden widths of a fully connected network, else None."""
        return self.widths or (MODELS[self.name].widths if self.name in MODELS else None)

    def parameters(self, dataset: Dataset) -> int | None:
        """All parameters, biases included, or None where only the code can tell."""
        if self.hidden is not None:
            return count_parameters(self.hidden, dataset)
        return MODELS[self.name].parameters if self.name in MODELS else None

    @property
    def arguments(self) -> Options:
        """What the factory is called with, in a fixed order."""
        widths = {} if self.widths is None else {"widths": self.widths}
        return tuple(sorted({**self.options, **widths}.items()))


class Training(Frozen):
    """How every arm is trained. Only the learning rate and momentum may be searched."""

    epochs: Count
    batch_size: Count = 128
    optimizer: Annotated[str, _named("optimizer", OPTIMIZERS)] = "sgd"
    learning_rate: Positive = 0.05
    momentum: Unit = 0.9
    schedule: Annotated[str, _named("schedule", SCHEDULES)] = "cosine"


class Sparsification(Frozen):
    """How a trained network is pruned and judged."""

    track: Track = "pruned"
    density: Fraction = 0.05
    finetune_epochs: Annotated[int, Field(ge=0)] = 1
    finetune_learning_rate_factor: Positive = 0.2
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.5
    curve: tuple[Annotated[float, Field(gt=0, le=1)], ...] = tuple(
        float(f"{0.0015 * (0.9 / 0.0015) ** (step / 19):.3g}") for step in range(20)
    )


class Search(Frozen):
    """What is tried next, and how much of it."""

    sampler: Annotated[str, _named("sampler", SAMPLERS)] = "tpe"
    trials: Count
    repeats: Count = 1
    in_flight: Count = 4


class Targets(Frozen):
    """Where fronts are read off: nonzeros at these accuracies, accuracies at these sizes."""

    accuracy: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.97, 0.975, 0.98, 0.982)
    nonzero: tuple[Count, ...] = (600, 1000, 2000, 4000, 8000, 16000)


class Reference(Frozen):
    """The corner for hypervolumes: a network this large and wrong is worth nothing."""

    nonzero: Count | None = None
    error: Annotated[float, Field(gt=0, le=1)] = 0.1


class Sweep(Frozen):
    """A study file: one question with a fixed budget."""

    name: Name
    dataset: Annotated[str, _named("dataset", DATASETS)]
    model: ModelChoice
    seed: int = 0
    training: Training
    sparsification: Sparsification = Sparsification()
    search: Search
    targets: Targets = Targets()
    reference: Reference = Reference()
    select_on: Literal["validation", "test"] = "validation"
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a study file. Raises SpecError with every problem of the file."""
        return cast(Self, build(cls, parse(Path(path)), place=str(path)))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `canonical` wrote."""
        return cls.model_validate_json(text)

    @cached_property
    def canonical(self) -> str:
        """JSON with sorted keys and defaults filled in: equal for equal sweeps."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @field_validator("arms")
    @classmethod
    def _no_reserved_names(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if "confirmed" in arms:
            raise ValueError("'confirmed' is reserved for confirmed networks; rename the arm")
        return arms

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        problems: list[tuple[str, str]] = []
        needed = MODELS[self.model.name].shape if self.model.name in MODELS else None
        if needed and needed != self.data.shape:
            text = f"{self.model.name} takes {needed} images, {self.dataset} has {self.data.shape}"
            problems.append(("model", text))
        if self.training.batch_size > self.data.train:
            text = f"must be <= {self.data.train}, the training images of {self.dataset}"
            problems.append(("training.batch_size", f"{text}, got {self.training.batch_size}"))
        if self.search.sampler == "grid":
            problems += self._grid_problems()
        if problems:
            raise Problems(problems)
        return self

    def _grid_problems(self) -> list[tuple[str, str]]:
        found = []
        for name in self.arms:
            size = grid_size(self.domains(name))
            if size is None:
                text = "the grid sampler needs choice or integer domains only"
            elif size < self.search.trials:
                text = f"the grid has {size} points, fewer than search.trials {self.search.trials}"
            else:
                continue
            found.append((f"arms.{name}", text))
        return found

    @property
    def data(self) -> Dataset:
        return DATASETS[self.dataset]

    @property
    def parameters(self) -> int | None:
        """Total parameters of the network, or None for a factory of the user's own."""
        return self.model.parameters(self.data)

    @property
    def steps_per_trial(self) -> int:
        """Optimizer steps, fine-tuning included; an incomplete last batch is left out."""
        epochs = self.training.epochs + self.sparsification.finetune_epochs
        return epochs * (self.data.train // self.training.batch_size)

    @property
    def by_slot(self) -> bool:
        """Whether parameters are a function of the slot alone."""
        return self.search.sampler in SLOT_SAMPLERS

    def study(self, arm: str, repeat: int) -> str:
        """Return the name of an Optuna study, `<sweep>/<arm>/<repeat>`."""
        return f"{self.name}/{arm}/{repeat}"

    def common(self) -> dict[str, Any]:
        """The keys that every arm shares and that may be searched, in a fixed order."""
        return {
            "density": self.sparsification.density,
            "learning_rate": self.training.learning_rate,
            "momentum": self.training.momentum,
            "finetune_learning_rate_factor": self.sparsification.finetune_learning_rate_factor,
        }

    def domains(self, arm: str) -> dict[str, Domain]:
        """Return the searched parameters of an arm, in a fixed order."""
        shared = {key: value for key, value in self.common().items() if isinstance(value, Domain)}
        return {**self.arms[arm].domains, **shared}

    def config(self, arm: str, repeat: int, slot: int, params: dict[str, Scalar]) -> TrialConfig:
        """Return the trial of a slot with the searched values filled in."""
        shared = {key: float(params.get(key, value)) for key, value in self.common().items()}
        return TrialConfig(
            recipe=self.recipe(repeat),
            init_seed=derive_seed(self.seed, "init", repeat, slot),
            method=self.arms[arm].method(params),
            floor=self.sparsification.floor,
            track=self.sparsification.track,
            **shared,
        )

    def recipe(self, repeat: int) -> Recipe:
        """Return what all trials of a repeat share."""
        return Recipe(
            model=self.model.name,
            model_options=self.model.arguments,
            dataset=self.dataset,
            batch_size=self.training.batch_size,
            epochs=self.training.epochs,
            finetune_epochs=self.sparsification.finetune_epochs,
            optimizer=self.training.optimizer,
            schedule=self.training.schedule,
            repeat=repeat,
            order_seed=derive_seed(self.seed, "order", repeat),
            curve=self.sparsification.curve,
        )


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2^32) that is a fixed function of its parts.

    >>> derive_seed(0, "init", 0, 0) == derive_seed(0, "init", 0, 0)
    True
    """
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
