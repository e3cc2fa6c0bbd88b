"""Optimizers, schedules and samplers by name."""

from collections.abc import Mapping

OPTIMIZERS = ("sgd", "adam", "adamw")
PRECISIONS = ("float32", "tf32")
"""How matrices are multiplied; tf32 exists on NVIDIA GPUs only and rounds factors to 10 bits."""
SCHEDULES = ("constant", "cosine", "linear")

SAMPLERS: Mapping[str, int] = {
    "tpe": 10,
    "nsga2": 50,
    "gp": 10,
    "qmc": 0,
    "random": 0,
    "grid": 0,
}
"""Sampler -> trials before it learns: its start-up or population; 0 for those that never do."""

SLOT_SAMPLERS = frozenset({"qmc", "random", "grid"})
"""Samplers whose parameters are a function of the slot alone."""
