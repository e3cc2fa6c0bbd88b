"""Script result: what a user's training says it has measured, checked, as the result of a trial."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from sweeper.config.arm import PARAMETER
from sweeper.errors import shown
from sweeper.types import Evaluation, LayerCount, LearningPoint, TrialResult, TrialState
from sweeper.types.trial_result import MOST_NUMBERS

REQUIRED = ("size", "validation", "test")
MEANT = '{"size": 1234, "validation": 0.97, "test": 0.96}'
LARGEST = 2**63 - 1
"""Size that every database holds."""


class ResultError(ValueError):
    """A result that cannot be, in one line."""


def plain_result(returned: object) -> dict[str, Any]:
    """Return what a function has returned as plain numbers; modules are counted.

    Raises ResultError, one line, for what is no result at all.
    """
    if not isinstance(returned, Mapping):
        raise ResultError(f"returned {shown(returned)}: must return a dict such as {MEANT}")
    return {str(key): _plain(value) for key, value in returned.items()}


def _plain(value: object) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        from sweeper.modules import count

        value = count(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if item is not None and not isinstance(value, type):  # a number of NumPy or PyTorch
        try:
            value = item()
        except (ValueError, RuntimeError):  # an array of several
            return shown(value)
    return value if isinstance(value, bool | int | float | str | Mapping) else shown(value)


def trial_result(
    measured: Mapping[str, Any],
    *,
    floor: float,
    learning: tuple[LearningPoint, ...],
    seconds: float,
) -> TrialResult:
    """Return the result of a trial. Raises ResultError, one line, for what cannot be."""
    further = {
        key: value
        for key, value in measured.items()
        if key not in {*REQUIRED, "total", "steps", "diverged"}
    }
    common: dict[str, Any] = {
        "steps": _count("steps", measured.get("steps", 0)),
        "curve": (),
        "seconds": seconds,
        "pack": 1,
        "learning": learning,
        "numbers": _numbers(further),
    }
    diverged = measured.get("diverged", False)
    if not isinstance(diverged, bool):
        raise ResultError(f"diverged: must be true or false, got {shown(diverged)}")
    if diverged:
        total = measured.get("total", 0)
        return TrialResult("diverged", _count("total", total), None, None, **common)
    missing = [key for key in REQUIRED if key not in measured]
    if missing:
        raise ResultError(f"{', '.join(missing)}: required, as in {MEANT}")
    judged, total = _evaluation(measured)
    state: TrialState = "collapsed" if judged.val_accuracy < floor else "complete"
    return TrialResult(state, total, judged, judged, **common)


def _evaluation(measured: Mapping[str, Any]) -> tuple[Evaluation, int]:
    """Return the network, and how many parameters it has in all."""
    size = measured["size"]
    counted: Mapping[str, Any] = size if isinstance(size, Mapping) else {}
    nonzero = _count("size", counted.get("nonzero") if counted else size)
    weights = _count("size.weights", counted.get("weights", nonzero))
    effective = counted.get("effective")
    total = _count("total", measured.get("total", counted.get("total", nonzero)))
    if total < nonzero:
        raise ResultError(f"total: must be at least the size, {nonzero}, got {total}")
    if weights > nonzero:
        raise ResultError(f"size.weights: must be at most the size, {nonzero}, got {weights}")
    judged = Evaluation(
        nonzero=nonzero,
        weights=weights,
        biases=nonzero - weights,
        effective=None if effective is None else _count("size.effective", effective),
        val_accuracy=_quality("validation", measured["validation"]),
        test_accuracy=_quality("test", measured["test"]),
        layers=_layers(counted.get("layers", ())),
    )
    return judged, total


def _layers(raw: Any) -> tuple[LayerCount, ...]:
    try:
        return tuple(LayerCount(**{**layer, "shape": tuple(layer["shape"])}) for layer in raw)
    except (TypeError, KeyError):
        raise ResultError(
            f"size.layers: must be those of sweeper.count, got {shown(raw)}"
        ) from None


def _count(key: str, value: Any) -> int:
    """Return a size: a whole number, be it written as 1e6."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = is_number and math.isfinite(value) and value == int(value)
    if not whole or not 0 <= value <= LARGEST:
        raise ResultError(f"{key}: must be a whole number >= 0, got {shown(value)}")
    return int(value)


def _quality(key: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # nor NaN
        hint = "; in percent? Divide by 100" if is_number and 1 < value <= 100 else ""
        if is_number and not math.isfinite(value):
            hint = "; a training that has diverged says so: raise sweeper.TrialDiverged"
        raise ResultError(f"{key}: must be from 0 to 1, got {shown(value)}{hint}")
    return float(value)


def _numbers(further: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the further numbers in the order of their names; those not finite are left out."""
    if len(further) > MOST_NUMBERS:
        raise ResultError(f"must have at most {MOST_NUMBERS} further numbers, got {len(further)}")
    for name, value in further.items():
        if not PARAMETER.fullmatch(name):
            text = "names of numbers must be letters, digits and '_', at most 64"
            raise ResultError(f"{text}, got {shown(name)}")
        if not isinstance(value, int | float):
            raise ResultError(f"{name}: must be a number, got {shown(value)}")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ResultError(f"{name}: must be of at most 63 bits, got {shown(value)}")
    finite = {name: float(value) for name, value in further.items() if math.isfinite(value)}
    return tuple(sorted(finite.items()))
