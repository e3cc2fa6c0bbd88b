"""Figures and notes in the form in which the Optuna dashboard keeps them in a study.

`optuna_dashboard.save_plotly_graph_object` and `save_note` write the same, but importing them
loads scikit-learn and pandas (9 CPU seconds, 130 MB) into every worker, and they rewrite chunks
that have not changed. A test holds this module against the dashboard's own readers.
"""

from collections.abc import Mapping
from typing import Any

_LENGTH = 2045  # of one attribute, by the dashboard
_NOTE = "dashboard:note_str:"
_VERSION = "dashboard:note_ver"


def figure_chunks(name: str, json: str) -> dict[str, str]:
    """Return the attributes of a figure; `name` is letters, digits, '-', '_' and '.'."""
    return _chunks(f"dashboard:plot_data:{name}:", json)


def note_chunks(text: str) -> dict[str, str]:
    """Return the attributes of a Markdown note."""
    return _chunks(_NOTE, text)


def changed(known: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    """Return what must be written so that `known` reads as `wanted`; chunks left over empty."""
    prefixes = {key.rpartition(":")[0] + ":" for key in wanted}
    left_over = {
        key: "" for key in known if key.rpartition(":")[0] + ":" in prefixes and key not in wanted
    }
    new: dict[str, Any] = {
        key: value for key, value in {**wanted, **left_over}.items() if known.get(key) != value
    }
    if any(key.startswith(_NOTE) for key in new):
        new[_VERSION] = known.get(_VERSION, 0) + 1
    return new


def _chunks(prefix: str, text: str) -> dict[str, str]:
    starts = range(0, max(len(text), 1), _LENGTH)
    return {
        f"{prefix}{number}": text[start : start + _LENGTH] for number, start in enumerate(starts)
    }
