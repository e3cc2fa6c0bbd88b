"""Trial records to rows and back, without loss."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select

from sweeper.config import Sweep
from sweeper.store import tables
from sweeper.store.clock import now
from sweeper.types import (
    CurvePoint,
    Evaluation,
    LayerCount,
    LearningPoint,
    LossConfig,
    MethodConfig,
    Normalisation,
    Options,
    PenaltyConfig,
    Provenance,
    PruneConfig,
    Scalar,
    ScriptConfig,
    SharedConfig,
    Slot,
    SplitConfig,
    TeacherConfig,
    Track,
    TrialConfig,
    TrialOutcome,
    TrialRecord,
    TrialResult,
)

_TRACKS: tuple[Track, ...] = ("pruned", "as_trained")
_NUMBERS = ("nonzero", "weights", "biases", "effective", "val_accuracy", "test_accuracy")
_PROVENANCE = tuple(Provenance.__dataclass_fields__)
FROM = tuple(tables.provenance.c[name].label(f"from_{name}") for name in _PROVENANCE)
"""Columns of a query that `provenance_of` reads."""


def add(connection: Connection, worker: str, outcomes: Sequence[TrialOutcome]) -> None:
    """Insert records. The caller holds the lock of the sweep and has checked the lease."""
    recorded_at = connection.scalar(select(now()))
    provenances: dict[tuple[str, Provenance], str] = {}
    rows: list[dict[str, Any]] = []
    last: TrialConfig | None = None
    for outcome in outcomes:
        slot = outcome.slot
        known = slot.sweep, outcome.provenance
        if known not in provenances:
            provenances[known] = add_provenance(connection, *known)
        shared = last is not None and last.recipe == outcome.config.recipe
        recipe = rows[-1]["config"]["recipe"] if shared else recipe_json(outcome.config.recipe)
        last = outcome.config
        rows.append(
            {
                "sweep": slot.sweep,
                "arm": slot.arm,
                "repeat": slot.repeat,
                "slot": slot.number,
                "network": outcome.network,
                "study": slot.study,
                "trial": outcome.trial,
                "worker": worker,
                "provenance": provenances[known],
                "recorded_at": recorded_at,
                "params": dict(outcome.params),
                **config_row(outcome.config, recipe),
                **result_row(outcome.result),
            }
        )
    connection.execute(insert(tables.fact), rows)


def config_row(config: TrialConfig, recipe: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the columns that hold a configuration; `recipe` is its `recipe_json`, if at hand."""
    return {
        "config": _config_json(config, recipe or recipe_json(config.recipe)),
        "density": config.density,
        "strength": config.method.strength,
        "learning_rate": config.learning_rate,
    }


def recipe_json(recipe: SharedConfig) -> dict[str, Any]:
    """Return the settings that trials share, as they stand in the `config` of each."""
    raw = asdict(recipe)
    # What is on record says the same in the same words.
    if recipe.prune == PruneConfig():
        del raw["prune"]
    if recipe.script is None:
        del raw["script"]
    return raw


def _config_json(config: TrialConfig, recipe: Mapping[str, Any]) -> dict[str, Any]:
    raw = {
        **{name: getattr(config, name) for name in TrialConfig.__dataclass_fields__},
        "recipe": recipe,
        "method": asdict(config.method),
    }
    if config.recipe.script is None:
        del raw["values"]
    if config.training_density is None:
        del raw["training_density"]
    return raw


def config_of(raw: Mapping[str, Any]) -> TrialConfig:
    """Return the configuration that `config_row` wrote."""
    recipe, method = raw["recipe"], raw["method"]
    teacher = recipe.get("teacher")
    return TrialConfig(
        **{
            **raw,
            "values": _pairs(raw.get("values", [])),
            "recipe": SharedConfig(
                **{
                    **recipe,
                    "model_options": _options(recipe["model_options"]),
                    "curve": tuple(recipe["curve"]),
                    "finetuned_curve": tuple(recipe.get("finetuned_curve", ())),
                    "dataset_options": _options(recipe.get("dataset_options", ())),
                    "split": SplitConfig(**recipe.get("split", {})),
                    "augment": tuple(recipe.get("augment", ())),
                    "loss": LossConfig(**recipe.get("loss", {})),
                    "teacher": TeacherConfig(**teacher) if teacher else None,
                    "prune": _prune_config(recipe.get("prune", {})),
                    "script": _script_config(recipe.get("script")),
                }
            ),
            "method": MethodConfig(
                **{
                    **method,
                    "hyper": _pairs(method["hyper"]),
                    "terms": tuple(
                        PenaltyConfig(
                            **{
                                **term,
                                "hyper": _pairs(term["hyper"]),
                                "during": tuple(term.get("during", (0.0, 1.0))),
                            }
                        )
                        for term in method["terms"]
                    ),
                }
            ),
        }
    )


def result_row(result: TrialResult) -> dict[str, Any]:
    """Return the columns that hold a result."""
    row: dict[str, Any] = {
        "state": result.state,
        "total": result.total,
        "steps": result.steps,
        "seconds": result.seconds,
        "pack": result.pack,
        "curve": [_point_row(point) for point in result.curve],
        "finetuned": [_point_row(point) for point in result.finetuned],
        "learning": [_learning_row(point) for point in result.learning] or None,
        "numbers": dict(result.numbers) or None,
        "layers": {},
    }
    for track in _TRACKS:
        judged = result.judged(track)
        for name in _NUMBERS:
            row[f"{track}_{name}"] = None if judged is None else getattr(judged, name)
        if judged is not None:
            row["layers"][track] = [asdict(layer) for layer in judged.layers]
    return row


def result_of(row: Mapping[str, Any]) -> TrialResult:
    """Return the result that `result_row` wrote."""
    return TrialResult(
        state=row["state"],
        total=row["total"],
        pruned=_evaluation(row, "pruned"),
        as_trained=_evaluation(row, "as_trained"),
        curve=tuple(CurvePoint(*point) for point in row["curve"]),
        finetuned=tuple(CurvePoint(*point) for point in row["finetuned"] or ()),
        learning=tuple(map(_learning_point, row["learning"] or ())),
        numbers=_numbers(row["numbers"] or {}),
        steps=row["steps"],
        seconds=row["seconds"],
        pack=row["pack"],
    )


def exists(connection: Connection, study: str, trial: int) -> bool:
    """Tell whether a trial of an Optuna study is on record."""
    fact = tables.fact.c
    query = select(fact.trial).where(fact.study == study, fact.trial == trial)
    return connection.scalar(query) is not None


def find(connection: Connection, condition: ColumnElement[bool]) -> tuple[TrialRecord, ...]:
    """Return the records that fulfil a condition on `fact` and its `slot`."""
    fact, slot, provenance = tables.fact, tables.slot, tables.provenance
    query = (
        select(fact, *FROM)
        .join(
            provenance,
            and_(fact.c.sweep == provenance.c.sweep, fact.c.provenance == provenance.c.digest),
        )
        .join(
            slot,
            and_(
                fact.c.sweep == slot.c.sweep,
                fact.c.arm == slot.c.arm,
                fact.c.repeat == slot.c.repeat,
                fact.c.slot == slot.c.number,
            ),
        )
        .where(condition)
    )
    origins: dict[str, Provenance] = {}  # shared by the records of a machine
    return tuple(_record(row, origins) for row in connection.execute(query))


def sorted_by_place(connection: Connection, sweep: Sweep) -> tuple[TrialRecord, ...]:
    """Return all records of a sweep, by arm in the order of the file, repeat, slot, network."""
    places = {arm: number for number, arm in enumerate(sweep.arms)}
    records = find(connection, tables.slot.c.sweep == sweep.name)
    return tuple(
        sorted(
            records,
            key=lambda record: (places[record.slot.arm], *record.place[1:]),
        )
    )


def add_provenance(connection: Connection, sweep: str, provenance: Provenance) -> str:
    """Return the digest of a provenance, inserted if the sweep has none like it."""
    values = asdict(provenance)
    if provenance.normalisation is None:
        del values["normalisation"]  # the digest is what it was before there was one
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    table = tables.provenance
    equal = select(table.c.digest).where(table.c.sweep == sweep, table.c.digest == digest)
    if connection.scalar(equal) is None:
        connection.execute(insert(table).values(sweep=sweep, digest=digest, **values))
    return digest


def provenance_of(row: Mapping[Any, Any]) -> Provenance:
    """Return the provenance in the `FROM` columns of a row."""
    values = {name: row[f"from_{name}"] for name in _PROVENANCE}
    if raw := values["normalisation"]:
        pairs = {name: tuple(map(float, numbers)) for name, numbers in raw.items()}
        values["normalisation"] = Normalisation(**pairs)
    return Provenance(**values)


def _record(joined: Row[Any], origins: dict[str, Provenance]) -> TrialRecord:
    row = joined._mapping
    if (digest := row["provenance"]) not in origins:
        origins[digest] = provenance_of(row)
    return TrialRecord(
        slot=Slot(row["sweep"], row["arm"], row["repeat"], row["slot"], row["study"]),
        network=row["network"],
        trial=row["trial"],
        params=row["params"],
        config=config_of(row["config"]),
        result=result_of(dict(row)),
        provenance=origins[digest],
        recorded_at=row["recorded_at"],
    )


def _evaluation(row: Mapping[str, Any], track: Track) -> Evaluation | None:
    if track not in row["layers"]:
        return None
    layers = tuple(
        LayerCount(**{**layer, "shape": tuple(layer["shape"])}) for layer in row["layers"][track]
    )
    return Evaluation(**{name: row[f"{track}_{name}"] for name in _NUMBERS}, layers=layers)


def _point_row(point: CurvePoint) -> list[float]:
    """Return the cells of a point; four as ever for one that was judged on all examples."""
    cells = list(astuple(point))
    return cells if point.val_examples or point.test_examples else cells[:4]


def _prune_config(raw: Mapping[str, Any]) -> PruneConfig:
    return PruneConfig(**{**raw, "names": tuple(raw.get("names", ()))})


def _script_config(raw: Mapping[str, Any] | None) -> ScriptConfig | None:
    return ScriptConfig(**{**raw, "command": tuple(raw["command"])}) if raw else None


def _learning_row(point: LearningPoint) -> list[Any]:
    return [point.epoch, dict(point.values)]


def _learning_point(row: list[Any]) -> LearningPoint:
    epoch, values = row
    return LearningPoint(float(epoch), _numbers(values))


def _numbers(raw: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((name, float(value)) for name, value in sorted(raw.items()))


def _pairs(raw: list[list[Any]]) -> tuple[tuple[str, Scalar], ...]:
    return tuple((name, value) for name, value in raw)


def _options(raw: list[list[Any]]) -> Options:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in raw)
