"""Penalty keys: what a caller says of a penalty, checked as a study file is."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np

from sweeper.config import Arm
from sweeper.config.parsing import build
from sweeper.config.penalty import PLAIN_KEYS, is_domain
from sweeper.errors import SpecError, choices, shown
from sweeper.training import validate_formulas
from sweeper.types import PenaltyConfig

_ARM_ONLY = ("method", "family", "parameters")


class _Keys(Arm):
    """The keys of a study file's arm that are about penalties."""

    usual_keys: ClassVar[tuple[str, ...]] = ("sum", *PLAIN_KEYS)


def terms_of(place: str, given: Mapping[str, Any]) -> tuple[PenaltyConfig, ...]:
    """Return the penalties that keys say, None being the same as none given.

    Raises SpecError with the lines of a study file, PluginError for a formula from outside.
    """
    written = _written(given)
    if problems := [f"{place}: {line}" for line in _unfit(written)]:
        raise SpecError(problems)
    arm = cast(_Keys, build(_Keys, written, place=place))
    terms = arm.config({}).terms
    validate_formulas.try_out(terms)
    return terms


def _written(given: Any) -> Any:
    """Return keys as YAML has them: mappings, lists and Python's own numbers."""
    if isinstance(given, Mapping):
        return {key: _written(value) for key, value in given.items() if value is not None}
    if isinstance(given, tuple | list):
        return [_written(value) for value in given]
    return given.item() if isinstance(given, np.generic) else given


def _unfit(written: Mapping[str, Any]) -> list[str]:
    """Return what a study file may say and a training loop may not."""
    lines = [
        f"{key}: unknown key: {choices(key, _Keys.usual_keys)}"
        for key in _ARM_ONLY
        if key in written
    ]
    terms = {"": written} if written.get("penalty", "none") != "none" else {}
    summed = written.get("sum", {})
    if isinstance(summed, Mapping):
        terms |= {f"sum.{name}.": keys for name, keys in summed.items()}
    for prefix, keys in terms.items():
        if not isinstance(keys, Mapping):
            continue
        strength = keys.get("strength")
        if isinstance(strength, bool) or not isinstance(strength, int | float):
            got = "required: a number" if strength is None else "must be a number, "
            lines.append(f"{prefix}strength: {got}" + ("" if strength is None else _got(strength)))
        lines += [
            f"{prefix}{key}: must be one value, nothing is searched here, {_got(value)}"
            for key, value in keys.items()
            if key not in ("sum", "strength") and (isinstance(value, Mapping) or is_domain(value))
        ]
    return lines


def _got(value: Any) -> str:
    return f"got {shown(value)}"
