"""Sections of a study file: model, training, search, targets, reference."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from sweeper.config.arm import NAME, SectionErrors
from sweeper.config.domains import (
    NotNegative,
    Number,
    Positive,
    Section,
    StrictInt,
    UnitInterval,
    omit_defaults,
)
from sweeper.config.loss import LossChoice
from sweeper.config.penalty import hyper_problems
from sweeper.config.registry import (
    MODELS,
    OPTIMIZERS,
    PLUGIN,
    PRECISIONS,
    SAMPLERS,
    SCHEDULES,
    ExampleShape,
    LayerSize,
)
from sweeper.config.teacher_choice import TeacherChoice
from sweeper.errors import choices, shown
from sweeper.types import Options, Scalar

AUGMENTATION = re.compile(r"\s*(flip|(shift|crop)\s*\(\s*[1-9][0-9]?\s*\))\s*")
"""Of training examples, with the most pixels that it moves them by."""


def one_of(what: str, allowed: Mapping[str, object] | tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"no such {what}: {choices(value, allowed)}")
        return value

    return AfterValidator(check)


def plain_name(value: str) -> str:
    """Return a name of a sweep or an arm. Raises ValueError."""
    if not NAME.fullmatch(value):
        raise ValueError(f"must be 1-54 letters, digits, '.', '_' or '-', got {shown(value)}")
    return value


Name = Annotated[str, AfterValidator(plain_name)]
Count = Annotated[StrictInt, Field(ge=1)]
Density = Annotated[Number, Field(gt=0, le=1)]


NO_MODEL = "none"
"""Name of the network of a script, which has its own; no study file can say it."""
WITH_WIDTHS = tuple(name for name, entry in MODELS.items() if entry.with_widths)


class ModelChoice(Section):
    """A network: a name from the registry or `package.module:factory`, with its options."""

    name: str
    widths: tuple[Count, ...] | None = None
    options: dict[str, Scalar] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Accept `lenet-5`, `mlp(64, 32)` and `package.module:factory` as text."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        match = re.fullmatch(r"(\w+)\((\s*|\s*\d+(?:\s*,\s*\d+)*\s*,?\s*)\)", text)
        if match and match[1] in WITH_WIDTHS:
            return {"name": match[1], "widths": list(map(int, re.findall(r"\d+", match[2])))}
        return {"name": text}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if PLUGIN.fullmatch(self.name) or self.name == NO_MODEL:
            return self
        name, bracket, _ = self.name.partition("(")
        if bracket and name in WITH_WIDTHS:
            text = f"must list whole numbers, {MODELS[name].with_widths}, got {shown(self.name)}"
            raise SectionErrors([("", text)])
        if self.name not in MODELS:
            allowed = [*MODELS, "package.module:factory"]
            raise SectionErrors([("", f"no such model: {choices(self.name, allowed)}")])
        entry = MODELS[self.name]
        problems = []
        if entry.with_widths and self.widths is None:
            text = f"required for {self.name}, such as {entry.with_widths}"
            problems.append(("widths", text))
        elif not entry.with_widths and self.widths is not None:
            text = f"{self.name} takes none; allowed: for {', '.join(WITH_WIDTHS)}"
            problems.append(("widths", text))
        elif self.widths is not None and len(self.widths) < entry.least_widths:
            problems.append(("widths", f"{self.name} needs {entry.least_widths} or more, got none"))
        for key, option in self.options.items():
            if key not in entry.options:
                takes = ", ".join(entry.options) or "none"
                text = f"{self.name} does not take it; options that it takes: {takes}"
                problems.append((f"options.{key}", text))
            else:
                faults = hyper_problems(entry.options[key], option)
                problems += [(f"options.{key}", text) for text in faults]
        if problems:
            raise SectionErrors(problems)
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out options that change nothing: the same network has one digest."""
        return {**write(self), "options": self._further}

    @property
    def _further(self) -> dict[str, Scalar]:
        """Options that are not at their defaults."""
        if self.name not in MODELS:
            return dict(self.options)
        usual = MODELS[self.name].options
        return {key: value for key, value in self.options.items() if value != usual[key].default}

    @property
    def text(self) -> str:
        """The network as people write it, such as `mlp(64, 32)` or `mlp(64) with dropout 0.2`."""
        widths = "" if self.widths is None else f"({', '.join(map(str, self.widths))})"
        if self.name not in MODELS:
            return self.name + widths
        further = ", ".join(f"{key} {value}" for key, value in self._further.items())
        return self.name + widths + (f" with {further}" if further else "")

    @property
    def hidden(self) -> tuple[int, ...] | None:
        """Hidden widths of a fully connected network, else None."""
        if self.name == "mlp":
            return self.widths
        return MODELS[self.name].hidden if self.name in MODELS else None

    @property
    def is_plain_mlp(self) -> bool:
        """Whether it is a chain of linear layers and ReLU alone, which has kernels of its own."""
        return self.hidden is not None and not self._further

    @property
    def has_statistics(self) -> bool:
        """Whether it has batch norm; unknown, and False, for a factory of a user's own."""
        return self.name in MODELS and MODELS[self.name].batch_norm

    def layers(self, dataset: ExampleShape) -> tuple[LayerSize, ...] | None:
        """Layers with their sizes, or None where only the code can tell."""
        if self.name not in MODELS:
            return None
        arguments = dict(self.arguments)
        return tuple(MODELS[self.name].layers(dataset.shape, dataset.classes, **arguments))

    def parameters(self, dataset: ExampleShape) -> int | None:
        """All parameters, biases included, or None where only the code can tell."""
        layers = self.layers(dataset)
        return None if layers is None else sum(layer.parameters for layer in layers)

    @property
    def arguments(self) -> Options:
        """Arguments of the factory, in a fixed order."""
        widths = {} if self.widths is None else {"widths": self.widths}
        return tuple(sorted({**self._further, **widths}.items()))


def _augmentation(text: str) -> str:
    """Return an augmentation as it is written: `shift(1)`, `crop(4)`, `flip`. Raises ValueError."""
    if not AUGMENTATION.fullmatch(text):
        raise ValueError(f"must be shift(N), crop(N) or flip, got {shown(text)}")
    return "".join(text.split())


Augmentation = Annotated[str, AfterValidator(_augmentation)]


class Training(Section):
    """Training of every arm. Learning rate, momentum and weight decay may be searched."""

    epochs: Count
    batch_size: Count = 128
    optimizer: Annotated[str, one_of("optimizer", OPTIMIZERS)] = "sgd"
    learning_rate: Positive = 0.05
    momentum: UnitInterval = 0.9
    weight_decay: NotNegative = 0.0
    schedule: Annotated[str, one_of("schedule", SCHEDULES)] = "cosine"
    augment: tuple[Augmentation, ...] = ()
    loss: LossChoice = LossChoice()
    teacher: TeacherChoice | None = None
    precision: Annotated[str, one_of("precision", PRECISIONS)] = "float32"

    @model_validator(mode="after")
    def _decay_is_said(self) -> Self:
        if self.optimizer == "adamw" and self.weight_decay == 0:
            text = "must be > 0 or a domain for adamw, such as 0.01; without it, it is adam"
            raise SectionErrors([("weight_decay", text)])
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what most sweeps do not use: their digests stay as they were without it."""
        written: dict[str, Any] = write(self)
        empty = type(written["augment"])()
        unused = {"weight_decay": 0.0, "precision": "float32", "augment": empty}
        return omit_defaults(written, **unused, loss="cross_entropy", teacher=None)


MOST_SEEDS = 100
"""Of a configuration in a search."""


class SearchSettings(Section):
    """Search: the sampler, and the budget of each arm and repeat."""

    sampler: Annotated[str, one_of("sampler", SAMPLERS)] = "tpe"
    trials: Count
    """Configurations that are tried."""
    repeats: Count = 1
    in_flight: Count = 4
    seeds: Annotated[StrictInt, Field(ge=1, le=MOST_SEEDS)] = 1
    """Trainings of each configuration, with initial weights of their own."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), seeds=1)


class Targets(Section):
    """Targets at which fronts are read: nonzeros at these accuracies, accuracies at these sizes."""

    accuracy: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (
        0.97,
        0.975,
        0.98,
        0.982,
    )
    nonzero: Annotated[tuple[Count, ...], Field(min_length=1)] = (
        600,
        1000,
        2000,
        4000,
        8000,
        16000,
    )


class Reference(Section):
    """The corner for hypervolumes: a network this large and wrong is worth nothing."""

    nonzero: Count | None = None
    error: Annotated[Number, Field(gt=0, le=1)] = 0.1
