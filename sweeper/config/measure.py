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
    measure = raw.get("measure", _USUAL)
    if not isinstance(measure, str):
        return raw
    return rename_targets(raw, {target_key(measure): _USUAL})


def rename_targets(raw: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the parts of a study file with targets under their usual keys, `keys` to these.

    Raises SectionErrors for targets under a usual key that is not theirs.
    """
    return _renamed(raw, "targets", keys, "whose targets are")


def rename_corner(raw: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the parts of a study file with the corner of hypervolumes under its usual keys.

    Raises SectionErrors as `rename_targets`.
    """
    return _renamed(raw, "reference", keys, "whose corner is")


def _renamed(
    raw: Mapping[str, Any], section: str, keys: Mapping[str, str], are: str
) -> dict[str, Any]:
    written = raw.get(section)
    if not isinstance(written, Mapping):
        return dict(raw)
    renamed = {}
    for key, value in written.items():
        theirs = next((name for name, usual in keys.items() if usual == key), key)
        if theirs != key:
            what = "measure" if key == _USUAL else "size"
            text = f"unknown key: the {what} is {shown(theirs)}, {are} {section}.{theirs}"
            raise SectionErrors([(f"{section}.{key}", text)])
        renamed[keys.get(key, key)] = value
    return {**raw, section: renamed}
