"""Enqueue: configurations that a person knows, put into the next slots of an arm."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper import lifecycle
from sweeper.analysis import strength_range
from sweeper.config import Choice, Sweep
from sweeper.config.file_limits import content_of
from sweeper.config.given_params import Params, given_params
from sweeper.errors import InputError, choices, first_line, shown
from sweeper.store import Store
from sweeper.types import EnqueuedConfig, Scalar

SOURCE = "enqueued by hand"
LARGEST = 1_000_000
"""Bytes of a file of configurations."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Configurations that were put into slots."""

    configs: tuple[EnqueuedConfig, ...]
    is_new: bool
    """Whether the sweep was registered for them."""
    unranged: tuple[str, ...]
    """Strengths among them whose range is not known yet."""


def enqueue(
    store: Store, sweep: Sweep, arm: str, texts: Sequence[str], repeat: int | None = None
) -> Enqueued:
    """Put configurations into the next slots of an arm, in every repeat or in one.

    The sweep is registered if it is not yet; it is not started. Raises InputError, DigestError for
    another file of its name, SpecError.
    """
    if sweep.confirms:
        raise InputError(f"{sweep.name}: is a confirmation, whose configurations are chosen")
    if arm not in sweep.arms:
        raise InputError(f"{sweep.name}: no such arm: {choices(arm, sweep.arms)}")
    repeats = sweep.search.repeats
    if repeat is not None and not 0 <= repeat < repeats:
        raise InputError(f"--repeat: must be 0 to {repeats - 1}, got {repeat}")
    store.upgrade()
    is_new = store.would_register(sweep) == "new"
    ranges = {} if is_new else strength_range.ranges(store.strength_ranges(sweep.name))
    ranged = sweep.with_ranges(ranges)
    configs = _configs(ranged, arm, texts)
    if len(configs) > sweep.search.trials:
        most = f"{arm} has {sweep.search.trials} trials in each repeat"
        raise InputError(f"--params: {most}, got {len(configs)} configurations")
    if is_new:
        lifecycle.register(store, sweep)
    chosen = range(repeats) if repeat is None else (repeat,)
    wanted = {(arm, of): configs for of in chosen}
    unranged = {name for config in configs for name in config}
    return Enqueued(
        store.interventions.enqueue(sweep.name, wanted, SOURCE),
        is_new,
        tuple(name for name in ranged.auto_parameters(arm) if name in unranged),
    )


def _configs(sweep: Sweep, arm: str, texts: Sequence[str]) -> list[Params]:
    """Return configurations as they are written. Raises InputError with a line for each mistake."""
    configs: list[Params] = []
    problems: list[str] = []
    for text in texts:
        several = _of_file(text) if text.startswith("@") else [_of_text(sweep, arm, text)]
        for given in several:
            params, wrong = given_params(sweep, arm, given)
            configs.append(params)
            problems += [f"--params: {line}" for line in wrong]
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return configs


def _of_text(sweep: Sweep, arm: str, text: str) -> dict[str, Scalar]:
    """Return the values of `strength=1e-3,learning_rate=0.1`. Raises InputError."""
    values: dict[str, Scalar] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value) or name in values:
            form = "must be NAME=VALUE,... with each name once, or @FILE"
            raise InputError(f"--params: {form}, got {shown(text)}")
        domain = sweep.domains(arm).get(name)
        is_word = isinstance(domain, Choice) and value in domain.choice
        values[name] = value if is_word else _scalar(value)
    return values


def _scalar(text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _of_file(text: str) -> list[dict[str, Scalar]]:
    """Return the configurations of a JSON file: a mapping, or a list of them."""
    path = Path(text.removeprefix("@"))
    try:
        raw: Any = json.loads(content_of(path, LARGEST))
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {first_line(error)}") from None
    several = raw if isinstance(raw, list) else [raw]
    for config in several:
        if not isinstance(config, Mapping) or not all(map(_is_scalar, config.values())):
            form = "must hold a mapping of parameters to values, or a list of such"
            raise InputError(f"{path}: {form}, got {shown(config)}")
    return [dict(config) for config in several]


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)
