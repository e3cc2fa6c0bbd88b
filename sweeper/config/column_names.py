"""Column names of networks in tables, CSV and JSON: the measure's and the size's, as files say."""

from sweeper.config.sweep import Sweep

_OF_PACKS = frozenset({"total", "effective", "weights", "biases"})
"""Fields that a script has no values for."""


def column_name(sweep: Sweep, field: str) -> str | None:
    """Return what a field of a network is called in a sweep; None where it has none.

    `val_accuracy` of a sweep for F1 is `val_f1`, `nonzero` of a script that counts FLOPs `flops`.
    """
    if sweep.script is not None and field in _OF_PACKS:
        return None
    if field in ("val_accuracy", "test_accuracy"):
        return f"{field.removesuffix('accuracy')}{sweep.measure_key}"
    return sweep.size_key if field == "nonzero" else field
