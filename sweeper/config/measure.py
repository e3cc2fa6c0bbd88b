"""Measure of a study file: the quality that is searched for, and the key of its targets."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from sweeper.config.arm import SectionErrors
from sweeper.config.registry import MEASURES, PLUGIN
from sweeper.errors import choices, shown

_USUAL = "accuracy"


def _known(name: str) -> str:
    if name not in MEASURES and not PLUGIN.fullmatch(name):
        known = [*MEASURES, "package.module:function"]
        raise ValueError(f"no such measure: {choices(name, known)}")
    return name


MeasureName = Annotated[str, AfterValidator(_known)]


def label_of(measure: str) -> str:
    """Return a measure as people write it: of a function of one's own, its name.

    >>> label_of("balanced_accuracy"), label_of("my.measures:top_5")
    ('balanced accuracy', 'top_5')
    """
    return MEASURES[measure].label if measure in MEASURES else measure.rpartition(":")[2]


def target_key(measure: str) -> str:
    """Return the key of a measure's targets, and what columns of it are called.

    >>> target_key("f1"), target_key("my.measures:top_5")
    ('f1', 'top_5')
    """
    return measure.rpartition(":")[2]


def with_usual_targets(raw: Any) -> Any:
    """Return the parts of a study file with the targets of its measure under their usual key.

    Raises SectionErrors for targets of another measure.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("targets"), Mapping):
        return raw
    measure, targets = raw.get("measure", _USUAL), dict(raw["targets"])
    if not isinstance(measure, str) or (key := target_key(measure)) == _USUAL:
        return raw
    if _USUAL in targets:
        text = f"unknown key: the measure is {shown(measure)}, whose targets are targets.{key}"
        raise SectionErrors([(f"targets.{_USUAL}", text)])
    if key in targets:
        targets[_USUAL] = targets.pop(key)
    return {**raw, "targets": targets}
