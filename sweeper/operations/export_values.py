"""Values of an export: each cell checked, as a study file is, for an export may be anybody's.

`sheet` and `row` check each by itself, `export_references` what belongs together. Reports, fronts
and the dashboard can be made of an export that passes both.
"""

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from sweeper.config import Sweep
from sweeper.config.parsing import allowed, build
from sweeper.errors import InputError, SpecError, shown
from sweeper.types import FailureKind, Scalar, SweepState, Track, TrialState
from sweeper.types.trial_result import MOST_NUMBERS, MOST_POINTS

FORMAT = 1
"""Version of the files: to be raised when an older program could not read them."""
IN_JSON = ("params", "config", "layers", "curve", "finetuned", "learning", "numbers")
"""Columns of a trial that hold JSON."""
LONGEST_ROW = 1_000_000
"""Most columns of a table whose normalisation is kept."""
LARGEST = 10**15
"""Largest count: floats and JavaScript tell it apart from the next one."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


def _lines(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("must be printable lines")
    return text


class _Cells(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Int32 = Annotated[int, Field(ge=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Time = Annotated[float, Field(ge=0, le=1e11)]
Size = Annotated[float, Field(ge=0, le=1e30)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=64), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
Id = Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,32}$")]
Error = Annotated[str, Field(max_length=2000), AfterValidator(_lines)]
Density = Annotated[float, Field(gt=0, le=1)]
_PointCells = tuple[Density, Count, Share, Share, Count, Count]


def _with_examples(value: Any) -> Any:
    """Complete a point that was judged on all examples, which has four cells."""
    is_whole = isinstance(value, list | tuple) and len(value) == 4
    return (*value, 0, 0) if is_whole else value


Point = Annotated[_PointCells, Strict(False), BeforeValidator(_with_examples)]
"""Density, nonzeros, accuracies; then on how many examples, 0 for all of them."""


_LearningCells = tuple[Size, Annotated[dict[Word, float], Field(max_length=MOST_NUMBERS)]]
LearningCells = Annotated[_LearningCells, Strict(False)]
"""Epochs done, then what was measured after them, by name."""


class _Layer(_Cells):
    name: Text
    shape: Annotated[list[Int32], Field(max_length=16)]
    weights: Count
    total_weights: Count
    biases: Count
    total_biases: Count


class _TrialRow(_Cells):
    """One row of facts.parquet, its JSON read."""

    sweep: str
    arm: str
    repeat: Int32
    slot: Int32
    network: Int32 = 0
    study: str
    trial: Int32
    worker: Id
    provenance: Digest
    state: TrialState
    total: Annotated[int, Field(ge=1, le=LARGEST)]
    pruned_nonzero: Count | None
    pruned_weights: Count | None
    pruned_biases: Count | None
    pruned_effective: Count | None
    pruned_val_accuracy: Share | None
    pruned_test_accuracy: Share | None
    as_trained_nonzero: Count | None
    as_trained_weights: Count | None
    as_trained_biases: Count | None
    as_trained_effective: Count | None
    as_trained_val_accuracy: Share | None
    as_trained_test_accuracy: Share | None
    density: Density
    strength: Size
    learning_rate: Size
    steps: Count
    seconds: Seconds
    pack: Annotated[int, Field(ge=1, le=2**31 - 1)]
    recorded_at: Time
    params: dict[str, Scalar]
    config: dict[str, Any]
    layers: Annotated[dict[Track, list[_Layer]], Field(max_length=2)]
    curve: list[Point]
    finetuned: list[Point] | None = None
    learning: Annotated[list[LearningCells], Field(max_length=MOST_POINTS)] | None = None
    numbers: Annotated[dict[Word, float], Field(max_length=MOST_NUMBERS)] | None = None

    @model_validator(mode="after")
    def _judged(self) -> Self:
        tracks: tuple[Track, ...] = ("pruned", "as_trained")
        for track in tracks:
            values = {key: value for key, value in self if key.startswith(f"{track}_")}
            # A network that cannot be followed has no effective parameters.
            counted = [value for key, value in values.items() if key != f"{track}_effective"]
            present = {value is not None for value in counted} | {track in self.layers}
            if self.state == "diverged" and values[f"{track}_effective"] is not None:
                present.add(True)
            if track == "as_trained" and present == {False}:
                continue  # another network of its training has it: see `export_references`
            if present != {self.state != "diverged"}:
                number = "none" if self.state == "diverged" else "all"
                raise ValueError(
                    f"{track}_*: a {self.state} trial has {number} of them, and layers"
                )
            if self.state != "diverged" and values[f"{track}_nonzero"] > self.total:
                raise ValueError(f"{track}_nonzero: must be <= the total {self.total}")
            parts = [values[f"{track}_{kind}"] or 0 for kind in ("weights", "biases")]
            if self.state != "diverged" and values[f"{track}_nonzero"] != sum(parts):
                text = f"must be its weights and biases, {sum(parts)}"
                raise ValueError(f"{track}_nonzero: {text}")
        if self.state == "diverged" and (self.curve or self.finetuned):
            raise ValueError("curve: a diverged trial has none")
        return self


class _Normalisation(_Cells):
    mean: Annotated[list[float], Field(min_length=1, max_length=LONGEST_ROW)]
    deviation: Annotated[
        list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=LONGEST_ROW)
    ]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.mean) != len(self.deviation):
            text = f"must be as many as means, {len(self.mean)}, got {len(self.deviation)}"
            raise ValueError(f"deviation: {text}")
        return self


class _ProvenanceRow(_Cells):
    sweep: str
    digest: Digest
    sweeper: Word
    python: Word
    torch: Word
    optuna: Word
    git_commit: Word
    device: Word
    processor: Text
    threads: Int32
    data_hash: Word
    host: Text
    normalisation: _Normalisation | None = None


class _ProbePoint(_Cells):
    strength: Size
    state: TrialState
    val_accuracy: Share
    nonzero: Count
    moved: Size | None


class _RangeRow(_Cells):
    sweep: str
    arm: str
    parameter: str
    key: Digest
    state: Literal["done"]
    worker: None
    reused: bool
    low: Annotated[float, Field(gt=0, le=1e30)]
    high: Annotated[float, Field(gt=0, le=1e30)]
    open_below: bool
    open_above: bool
    seconds: Seconds
    provenance: Digest
    points: Annotated[list[_ProbePoint], Field(min_length=2, max_length=1000)]
    recorded_at: Time

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low: must be < high, got {self.low} and {self.high}")
        strengths = [point.strength for point in self.points]
        if strengths[0] != 0 or any(low >= high for low, high in pairwise(strengths)):
            raise ValueError("points: must ascend in strength, from 0 on")
        return self


class _FailureRow(_Cells):
    sweep: str
    arm: str
    repeat: Int32 | None
    slot: Int32 | None
    worker: Id
    attempt: Id
    kind: FailureKind
    error: Error
    at: Time


class _RetrainedTrialRow(_Cells):
    arm: str
    repeat: Int32
    slot: Int32
    state: TrialState
    nonzero: Count
    val_accuracy: Share
    network: Int32 = 0


class _ReproducibilityRow(_Cells):
    sweep: str
    id: Id
    provenance: Digest
    redone: list[_RetrainedTrialRow]
    recorded_at: Time


class _PausedRow(_Cells):
    sweep: str
    arm: str
    at: Time


class _DroppedRow(_Cells):
    sweep: str
    id: Id
    arm: str
    repeat: Int32
    slot: Int32
    network: Int32 | None
    why: Annotated[str, Field(max_length=500), AfterValidator(_printable)]
    at: Time
    undone: bool


class _EnqueuedRow(_Cells):
    sweep: str
    arm: str
    repeat: Int32
    slot: Int32
    params: dict[str, Scalar]
    source: Text
    at: Time


class Sheet(_Cells):
    """The content of sweep.json."""

    format: Literal[1]
    name: str
    digest: Digest
    state: SweepState
    error: Error
    created_at: Time
    facts: Int32
    spec: dict[str, Any]
    provenance: list[_ProvenanceRow]
    brackets: list[_RangeRow]
    failures: list[_FailureRow]
    drifts: list[_ReproducibilityRow]
    paused: list[_PausedRow] = []
    dropped: list[_DroppedRow] = []
    enqueued: list[_EnqueuedRow] = []


M = TypeVar("M", bound=BaseModel)


def parsed(text: str | bytes) -> Any:
    """Read JSON whose numbers are finite. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("is nested too deep") from None


def sheet(raw: Any, place: str) -> tuple[Sheet, Sweep]:
    """Check the content of sweep.json, each cell by itself, and its study. Raises InputError."""
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT:
        raise InputError(f"{place}: format: must be {FORMAT}, got {shown(version)}")
    checked = _checked(Sheet, raw, place)
    try:
        built = build(Sweep, raw["spec"], place=f"{place}: spec")
    except SpecError as error:
        raise InputError(error.problems[0]) from None
    sweep = cast(Sweep, built)
    if sweep.digest != checked.digest:
        text = f"was changed; its digest is not {checked.digest[:12]}..."
        raise InputError(f"{place}: spec: {text}")
    if sweep.name != checked.name:
        raise InputError(f"{place}: name: must be the study's, got {shown(checked.name)}")
    return checked, sweep


def row(raw: Mapping[str, Any], place: str) -> None:
    """Check a row of facts.parquet, each cell by itself. Raises InputError."""
    _checked(_TrialRow, raw, place)


def _checked(model: type[M], raw: Any, place: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ": ".join(shown(str(part)).strip("'\"") for part in first["loc"])
        if first["type"] == "missing":
            text = "required, but not given"
        elif first["type"] == "extra_forbidden":
            text = "is not known to this version of sweeper"
        elif first["type"] == "value_error":
            text = str(first["ctx"]["error"])
            text += f", got {shown(first['input'])}" if isinstance(first["input"], str) else ""
        else:
            text = f"{allowed(first)}, got {shown(first['input'])}"
        raise InputError(f"{place}: {where}: {text}" if where else f"{place}: {text}") from None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text[:20]} is no number of a sweep")
