"""Attributes of a study: figures, notes and names of values as Optuna keeps them.

`optuna_dashboard.save_plotly_graph_object` and `save_note` write the same, but importing them
loads scikit-learn and pandas (9 CPU seconds, 130 MB) into every worker, and they rewrite chunks
that have not changed. A test holds this module against the dashboard's own readers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_LENGTH = 2045  # of one attribute, by the dashboard
_FIGURE = "dashboard:plot_data:"
_NOTE = "dashboard:note_str:"
NOTE_VERSION = "dashboard:note_ver"
"""Attribute in which the dashboard counts the versions of a note: there is one if this is there."""
METRIC_NAMES = "study:metric_names"
"""Attribute that `Study.set_metric_names` sets, in a transaction of its own."""


def figure_chunks(name: str, json: str) -> dict[str, str]:
    """Return the attributes of a figure; `name` is letters, digits, '-', '_' and '.'."""
    return _chunks(f"{_FIGURE}{name}:", json)


def note_chunks(text: str) -> dict[str, str]:
    """Return the attributes of a Markdown note."""
    return _chunks(_NOTE, text)


def has_note(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a study has a note, be it an empty one that somebody left."""
    return NOTE_VERSION in attributes


def new_note(text: str) -> dict[str, Any]:
    """Return all attributes of the first note of a study."""
    return {**note_chunks(text), NOTE_VERSION: 1}


def changed(
    present: Mapping[str, Any], wanted: Mapping[str, str], gone: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the attributes that turn `present` into `wanted`; None for chunks left over.

    `gone` are the names of figures that are to vanish: an empty one would break the page.
    """
    prefixes = {key.rpartition(":")[0] for key in wanted} | {_FIGURE + name for name in gone}
    left_over = [key for key in present if key.rpartition(":")[0] in prefixes and key not in wanted]
    new: dict[str, Any] = {
        key: value for key, value in wanted.items() if present.get(key) != value
    } | dict.fromkeys(left_over)
    if any(key.startswith(_NOTE) for key in new):
        new[NOTE_VERSION] = present.get(NOTE_VERSION, 0) + 1
    return new


def _chunks(prefix: str, text: str) -> dict[str, str]:
    starts = range(0, max(len(text), 1), _LENGTH)
    return {
        f"{prefix}{number}": text[start : start + _LENGTH] for number, start in enumerate(starts)
    }
