"""Study file: its sections, read, checked and written."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from sweeper.config.arm import Arm
from sweeper.config.comparison_plan import Comparison
from sweeper.config.confirmation_plan import SUFFIX, ConfirmationPlan
from sweeper.config.dataset import DatasetChoice, DatasetFacts, SplitRule
from sweeper.config.domains import (
    SearchedScalar,
    Section,
    StrictInt,
    omit_defaults,
)
from sweeper.config.measure import MeasureName, label_of, target_key, with_usual_targets
from sweeper.config.parsing import build, parse
from sweeper.config.plain_parts import plain_parts
from sweeper.config.script import (
    Command,
    FunctionName,
    Objectives,
    Resources,
    TimeLimit,
)
from sweeper.config.script_sweep import (
    is_script,
    with_packed_keys,
    without_packed_keys,
)
from sweeper.config.sections import (
    ModelChoice,
    Name,
    Reference,
    SearchSettings,
    Targets,
    Training,
    plain_name,
)
from sweeper.config.sparsification import Sparsification
from sweeper.config.study_changes import StudyChange, place_of_key, with_changes
from sweeper.config.warm_start import WarmStart
from sweeper.errors import SpecError
from sweeper.types import ScriptConfig


class StudyFile(Section):
    """The sections of a study file, checked each by itself, and what is called what in them."""

    name: str
    dataset: DatasetChoice
    split: SplitRule = SplitRule()
    model: ModelChoice
    seed: StrictInt = 0
    measure: MeasureName = "accuracy"
    """Quality of a network, which is searched for: the vertical axis of all fronts."""
    training: Training
    sparsification: Sparsification = Sparsification()
    search: SearchSettings
    targets: Targets = Targets()
    reference: Reference = Reference()
    select_on: Literal["validation", "test"] = "validation"
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    compare: Comparison = Comparison()
    warm_start: WarmStart | None = None
    """What its arms try first."""
    confirms: Annotated[ConfirmationPlan | None, Field(repr=False)] = None
    """Set by `sweeper confirm`, never by a study file."""
    facts: Annotated[DatasetFacts | None, Field(repr=False)] = None
    """Of a dataset that is not in the registry: set where it is loaded, never by a study file."""
    trial: FunctionName | None = None
    """A function that trains, in place of dataset, model, training and sparsification."""
    command: Command | None = None
    """A command that trains, in place of the same."""
    time_limit: TimeLimit = None
    """Seconds after which an attempt of a script is ended."""
    resources: Resources = Resources()
    objectives: Objectives = Objectives()
    parameters: dict[str, SearchedScalar] = {}
    """What a script is given by name in every arm, searched or fixed."""

    @classmethod
    def load(cls, path: str | Path, changes: Sequence[StudyChange] = ()) -> Self:
        """Read a study file, some keys changed. Raises SpecError with every problem of the file."""
        return cls._of_parts(parse(Path(path)), str(path), changes)

    @classmethod
    def of_mapping(cls, parts: Mapping[str, Any], changes: Sequence[StudyChange] = ()) -> Self:
        """Check the keys of a study file, given as a dict. Raises SpecError with every problem.

        >>> from sweeper.config import Sweep
        >>> recipe = {"dataset": "digits", "model": "mlp(8)", "training": {"epochs": 1}}
        >>> Sweep.of_mapping({"name": "mine", "arms": {"dense": {}}, "search": {"trials": 3}}
        ...                  | recipe).trials
        3
        """
        name = parts.get("name")
        place = name if isinstance(name, str) and name else "dict"
        return cls._of_parts(plain_parts(parts, place), place, changes)

    @classmethod
    def _of_parts(cls, said: Any, place: str, changes: Sequence[StudyChange]) -> Self:
        raw = with_changes(said, changes)

        def begin(key: str) -> str:
            return place_of_key(key, place, said, changes)

        if isinstance(raw, dict) and "confirms" in raw:
            text = "is for `sweeper confirm NAME`, not for files"
            raise SpecError([f"{begin('confirms')}: {text}"])
        if isinstance(raw, dict) and "facts" in raw:
            text = "are found out of the dataset, not said by files"
            raise SpecError([f"{begin('facts')}: {text}"])
        return cast(Self, build(cls, raw, place=place, place_of=begin))

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

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = omit_defaults(
            write(self),
            confirms=None,
            facts=None,
            split={},
            measure="accuracy",
            compare=Comparison().model_dump(),
            warm_start=None,
            trial=None,
            command=None,
            time_limit=None,
            resources={},
            objectives={},
            parameters={},
        )
        # Targets, and the corner, stand under the names of the measure and the size, as in files.
        names = {"accuracy": self.measure_key, "nonzero": self.size_key}
        for section in ("targets", "reference"):
            parts = written[section].items()
            written[section] = {names.get(key, key): value for key, value in parts}
        return written if self.script is None else without_packed_keys(written)

    @model_validator(mode="before")
    @classmethod
    def _usual_keys(cls, raw: Any) -> Any:
        return with_packed_keys(raw) if is_script(raw) else with_usual_targets(raw)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        plain_name(name.removesuffix(SUFFIX))
        return name

    @field_validator("arms")
    @classmethod
    def _no_reserved_names(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if "confirmed" in arms:
            raise ValueError("'confirmed' is reserved for confirmed networks; rename the arm")
        return arms

    @property
    def script(self) -> ScriptConfig | None:
        """The training of the user's own that takes the place of packs, if there is one."""
        if self.trial is None and self.command is None:
            return None
        return ScriptConfig(self.trial or "", self.command or ())

    @property
    def measure_label(self) -> str:
        """The measure as people write it, such as `accuracy` or `F1`."""
        return label_of(self.measure) if self.script is None else self.objectives.quality

    @property
    def measure_key(self) -> str:
        """The measure in keys of targets and names of columns, such as `accuracy` or `f1`."""
        return target_key(self.measure) if self.script is None else self.objectives.quality_key

    @property
    def size_label(self) -> str:
        """The size of a network as people write it: `nonzero parameters`, or a script's."""
        return self.objectives.size

    @property
    def size_key(self) -> str:
        """The size in keys of targets and names of columns: `nonzero`, or a script's."""
        return self.objectives.size_key

    @property
    def size_unit(self) -> str:
        """The size as it stands behind a number: `nonzero`, or a script's."""
        return "nonzero" if self.size_key == "nonzero" else self.size_label

    @property
    def subject(self) -> str:
        """What is trained, for headlines: `lenet-300-100 on mnist`, or a user's own training."""
        script = self.script
        return f"{self.model.text} on {self.dataset.text}" if script is None else script.text
