"""Study warnings: settings of a study file that are allowed, but seldom meant."""

import re

from sweeper.config import Domain, Sweep
from sweeper.config.domains import grid_size
from sweeper.config.registry import FORMULAS, SAMPLERS
from sweeper.kernels.processor import BFLOAT16_NEEDS, multiplies_bfloat16
from sweeper.settings import OURS


def study_warnings(sweep: Sweep) -> list[str]:
    """Return the warnings about a study, a line each; it begins with the key to look at."""
    return [
        *_training_warnings(sweep),
        *_search_warnings(sweep),
        *_objective_warnings(sweep),
        *_arm_warnings(sweep),
    ]


def script_warnings(sweep: Sweep) -> list[str]:
    """Return the warnings about a sweep of a script, as `study_warnings` does."""
    return [*_search_warnings(sweep), *_parameter_warnings(sweep), *_command_warnings(sweep)]


def _training_warnings(sweep: Sweep) -> list[str]:
    text = ""
    if sweep.training.precision == "tf32":
        text = (
            "exists on NVIDIA GPUs only: workers elsewhere refuse it, and times below are a CPU's"
        )
    if sweep.training.precision == "bfloat16" and not multiplies_bfloat16():
        text = f"is emulated by this processor, whose workers refuse it: {BFLOAT16_NEEDS}"
    return [f"training.precision: {sweep.training.precision} {text}"] if text else []


def _search_warnings(sweep: Sweep) -> list[str]:
    warnings = []
    search = sweep.search
    # Each network of a ladder is told.
    start = -(-SAMPLERS[search.sampler] // sweep.rungs)
    if start and search.trials <= start:
        phase = "its first population" if search.sampler == "nsga2" else "its random start-up"
        warnings.append(
            f"search.trials: {search.trials} trials do not exceed {phase} of {start}: "
            f"{search.sampler} would never learn from a result"
        )
    if search.in_flight > search.trials:
        warnings.append(
            f"search.in_flight: {search.in_flight} is more than the {search.trials} trials of an "
            "arm: all are asked before one result is known"
        )
    if search.sampler == "grid":
        warnings += _grid_warnings(sweep)
    if sweep.select_on == "test":
        warnings.append(
            "select_on: test: fronts are chosen on the test examples, as the literature often "
            "does; every figure and table will say so"
        )
    return warnings


def _grid_warnings(sweep: Sweep) -> list[str]:
    """Return the arms that leave most of their grid out; a line for each size."""
    arms: dict[int, list[str]] = {}
    for name in sweep.arms:
        size = grid_size(sweep.domains(name)) or 0
        if size > sweep.search.trials:
            arms.setdefault(size, []).append(name)
    return [
        f"search.sampler: the grid of {_names(names)} has {size:,} points: "
        f"{sweep.search.trials:,} of them are visited, in a random order"
        for size, names in arms.items()
    ]


def _objective_warnings(sweep: Sweep) -> list[str]:
    sparsification = sweep.sparsification
    if sparsification.track == "pruned":
        if sweep.rungs > 1 or isinstance(sparsification.density, Domain):
            return []
        text = f"fixed at {sparsification.density:g} on the pruned track: all networks have about"
        return [f"sparsification.density: {text} the same size; a front needs a domain"]
    without_density = [name for name in sweep.arms if not _takes_density(sweep, name)]
    idle = {"density": without_density, "finetune_learning_rate_factor": list(sweep.arms)}
    warnings = [
        f"sparsification.{key}: searched, but it has no influence on the as_trained track"
        + (f" of {_names(names)}" if len(names) < len(sweep.arms) else "")
        for key, names in idle.items()
        if names and isinstance(getattr(sparsification, key), Domain)
    ]
    dense = [name for name, arm in sweep.arms.items() if not arm.gives_zeros]
    if dense:
        warnings.append(
            f"sparsification.track: as_trained counts exact zeros, and {_names(dense)} never "
            "give any (loss and decoupled terms do not)"
        )
    return warnings


def _parameter_warnings(sweep: Sweep) -> list[str]:
    """Return the warnings about what the arms search."""
    warnings = []
    sizes = {name: len(sweep.domains(name)) for name in sweep.arms}
    fixed = [name for name, size in sizes.items() if size == 0]
    if fixed and sweep.search.trials > 1:
        what = "their initial weights" if sweep.script is None else "their seeds"
        warnings.append(
            f"arms: {_names(fixed)} search nothing: their {sweep.search.trials} trials differ by "
            f"{what} alone"
        )
    if len(set(sizes.values())) > 1:
        warnings.append(f"arms: unequal numbers of searched parameters: {_counts(sizes)}")
    warnings += [
        f"arms.{name}: {term.penalty} does not see the arrangement of weights: shuffled it is the "
        "same penalty"
        for name, arm in sweep.arms.items()
        for term in arm.terms
        if term.keys.shuffle and term.penalty in FORMULAS and not term.formula.sees_arrangement_of
    ]
    return warnings


def _command_warnings(sweep: Sweep) -> list[str]:
    """Return what is searched in every arm and a command does not name, though it names others."""
    text = " ".join(sweep.command or ())
    searched = [name for name, value in sweep.parameters.items() if isinstance(value, Domain)]
    idle = [name for name in searched if not re.search(rf"\{{\s*{name}\s*\}}", text)]
    if not idle or len(idle) == len(searched):
        return []  # one that names none reads all from its environment
    where = f"the environment has it in {OURS}PARAMS"
    return [f"command: does not name {_names(idle)}: {where}"]


def _arm_warnings(sweep: Sweep) -> list[str]:
    warnings = _parameter_warnings(sweep)
    cut = [name for name in sweep.arms if _takes_density(sweep, name)]
    if sweep.rungs > 1:
        cut = [name for name in cut if not _passes_densities(sweep, name)]
    if cut and sweep.sparsification.track == "pruned":
        text = "their density while they are trained, so that the pruning afterwards finds nothing "
        text += "more to cut"
        if sweep.rungs > 1:
            first = sweep.sparsification.densities[0]
            text = f"the first density, {first:g}, while they are trained, and from there to others"
        warnings.append(f"arms: {_names(cut)}: cut to {text}")
    return warnings


def _passes_densities(sweep: Sweep, name: str) -> bool:
    entry = sweep.arms[name].entry
    return entry is not None and entry.passes_densities


def _takes_density(sweep: Sweep, name: str) -> bool:
    entry = sweep.arms[name].entry
    return entry is not None and entry.takes_density


def _counts(sizes: dict[str, int]) -> str:
    """Return `l1 3, dense 2`, or where arms are many `2 (dense), 3 (all others)`."""
    if len(sizes) <= 8:
        return ", ".join(f"{name} {size}" for name, size in sizes.items())
    groups: dict[int, list[str]] = {}
    for name, size in sizes.items():
        groups.setdefault(size, []).append(name)
    largest = max(groups.values(), key=len)
    parts = [
        f"{size} ({'all others' if names is largest else _names(names)})"
        for size, names in sorted(groups.items())
    ]
    return ", ".join(parts)


def _names(names: list[str]) -> str:
    return ", ".join(names)
