"""Dataset of a study file: its name and options, its split, and the facts found out about it."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from sweeper.config.arm import SectionErrors
from sweeper.config.domains import Number, Section, StrictBool, StrictInt, from_text, omit_defaults
from sweeper.config.registry import DATASET_FORMS, DATASETS, PLUGIN, dataset_plugins
from sweeper.errors import choices, shown
from sweeper.types import Options, Scalar, SplitConfig

Count = Annotated[StrictInt, Field(ge=1)]
Share = Annotated[Number, Field(gt=0, lt=1)]
Seed = Annotated[StrictInt, Field(ge=0, le=2**32 - 1)]
_OWN = "package.module:function"
_LARGEST_SEED = 2**32 - 1
NO_DATASET = "none"
"""Name of the dataset of a script, which has its own; no study file can say it."""


def _no_switch(value: Any) -> Any:
    """Refuse `true`, which Python takes for 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be 1 or 3, got {value}")
    return value


def _seed_or_repeat(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value != "repeat" and not (whole and 0 <= value <= _LARGEST_SEED):
        text = f"must be a whole number from 0 to {_LARGEST_SEED:,}, or repeat"
        raise ValueError(f"{text}, got {shown(value)}")
    return value


class DatasetFacts(Section):
    """Shapes and sizes of a dataset, found out by loading it where the registry has none."""

    shape: tuple[Count, ...]
    """Of one example, such as channels, height, width."""
    classes: Count
    train: Count
    validation: Count
    test: Count
    hash: str = ""
    """Of all examples, labels and the split; empty where it is not known before loading."""
    labels: tuple[str, ...] = ()
    """Names of the classes, where the dataset has any."""
    features: tuple[str, ...] = ()
    """Names of the columns of a table, categories spread out."""
    values: StrictBool = False
    """Whether targets are numbers; `classes` is how many of them an example has."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), values=False)

    @property
    def targets_text(self) -> str:
        """The targets in words, such as `in 10 classes` or `with 1 value each`."""
        if self.values:
            return f"with {self.classes:,} value{'' if self.classes == 1 else 's'} each"
        return f"in {self.classes:,} classes"


class DatasetChoice(Section):
    """A dataset: a name from the registry, files of one's own, or a function with its options."""

    name: str
    file: str | None = None
    """`arrays`: an .npz, .csv or .parquet file with the examples, in the folder of datasets."""
    test_file: str | None = None
    """`arrays`: a file of the same form with the test examples."""
    target: str | None = None
    """`arrays`: the column of a table that holds the labels."""
    standardise: StrictBool | None = None
    """`arrays`: whether numbers get mean 0 and deviation 1; tables do unless this is false."""
    values: StrictBool | None = None
    """`arrays`: whether targets are numbers that a network is to give, and no labels."""
    folder: str | None = None
    """`images`: a folder with one folder a class, or `train/` and `test/` with such folders."""
    size: Annotated[StrictInt, Field(ge=1, le=1024)] | None = None
    """`images`: side of the square that pictures are scaled to; required if their sizes differ."""
    channels: Annotated[Literal[1, 3] | None, BeforeValidator(_no_switch)] = None
    """`images`: 1 for grey, 3 for colour; else as the pictures have it."""
    options: dict[str, Scalar] = {}
    """Arguments of a function of one's own."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return from_text(value, "name", cls, "a name, or a mapping with a name and its keys")

    @field_validator("name")
    @classmethod
    def _written_out(cls, name: str) -> str:
        """Turn the name of an installed plugin into its `module:function`."""
        name = name.strip()
        return dataset_plugins().get(name, name)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name == NO_DATASET:
            return self
        if self.name in DATASET_FORMS:
            allowed = DATASET_FORMS[self.name].keys
        elif self.name in DATASETS:
            allowed = {}
        elif PLUGIN.fullmatch(self.name):
            allowed = {"options": False}
        else:
            known = [*DATASETS, *DATASET_FORMS, *dataset_plugins(), _OWN]
            raise SectionErrors([("", f"no such dataset: {choices(self.name, known)}")])
        given = {key for key, value in self if key != "name" and value not in (None, {})}
        takes = ", ".join(allowed) or "no further key"
        problems = [
            (key, f"{self.name} does not take it; it takes {takes}")
            for key in sorted(given - set(allowed))
        ]
        problems += [
            (key, f"required for {self.name}, but not given")
            for key, required in allowed.items()
            if required and key not in given
        ]
        if problems or self._file_problems():
            raise SectionErrors(problems or self._file_problems())
        return self

    def _file_problems(self) -> list[tuple[str, str]]:
        problems = []
        for key in ("file", "test_file"):
            name = getattr(self, key)
            if name is not None and not name.endswith((".npz", ".csv", ".parquet")):
                problems.append((key, f"must end in .npz, .csv or .parquet, got {shown(name)}"))
        if self.file and self.test_file and Path(self.file).suffix != Path(self.test_file).suffix:
            text = f"must end as file does, {Path(self.file).suffix}, got {shown(self.test_file)}"
            problems.append(("test_file", text))
        if self.file and not self.is_table and self.target:
            problems.append(("target", "is for tables, .csv and .parquet, alone"))
        if self.file and self.is_table and not self.target:
            problems.append(("target", "required for tables: the column that holds the labels"))
        if self.folder == "":
            problems.append(("folder", "must be a folder, got ''"))
        return problems

    @model_serializer(mode="wrap")
    def _as_short_as_it_goes(self, write: SerializerFunctionWrapHandler) -> Any:
        """Write a name alone as text: digests of files outlive further keys."""
        written = {key: value for key, value in write(self).items() if value not in (None, {})}
        return self.name if set(written) == {"name"} else written

    @property
    def is_table(self) -> bool:
        return bool(self.file and self.file.endswith((".csv", ".parquet")))

    @property
    def in_registry(self) -> bool:
        """Whether its sizes are known without loading it."""
        return self.name in DATASETS

    @property
    def text(self) -> str:
        """The dataset as people write it: `mnist`, `pictures` for a folder, `data.csv`."""
        return self.file or self.folder or self.name

    @property
    def arguments(self) -> Options:
        """Arguments of its reader, in a fixed order."""
        if self.name in DATASET_FORMS:
            values = {key: getattr(self, key) for key in DATASET_FORMS[self.name].keys}
            return tuple(sorted((key, v) for key, v in values.items() if v is not None))
        return tuple(sorted(self.options.items()))


class SplitRule(Section):
    """Split of a dataset: the shares held out, and whether repeats draw their own."""

    validation: Share | None = None
    """Share of the training examples that are held out; else as the dataset has it, or 0.2."""
    test: Share | None = None
    """Share that is held out for the test, of a dataset without a test part; else 0.2."""
    seed: Annotated[Seed | Literal["repeat"], BeforeValidator(_seed_or_repeat)] = 0
    """`repeat`: each repeat holds out other examples, so that intervals cover that choice too."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), validation=None, test=None, seed=0)

    @property
    def by_repeat(self) -> bool:
        """Whether each repeat holds out other validation examples."""
        return self.seed == "repeat"

    def config(self, repeat_seed: int) -> SplitConfig:
        """Return the split of a repeat."""
        seed = repeat_seed if isinstance(self.seed, str) else self.seed
        return SplitConfig(self.validation, self.test, seed, self.by_repeat)


def known_facts(choice: DatasetChoice, split: SplitRule) -> DatasetFacts | None:
    """Return the facts of a dataset of the registry; None for any other."""
    entry = DATASETS.get(choice.name)
    if entry is None:
        return None
    validation = entry.validation
    if split.validation is not None:
        validation = held_out(split.validation, entry.train + entry.validation)
    return DatasetFacts(
        shape=entry.shape,
        classes=entry.classes,
        train=entry.train + entry.validation - validation,
        validation=validation,
        test=entry.test,
    )


def held_out(share: float, examples: int) -> int:
    """Return the number of examples that a share is: at least one, and not all."""
    return min(max(1, math.floor(share * examples + 0.5)), examples - 1)
