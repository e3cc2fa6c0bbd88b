"""Note texts: the Markdown note of an arm's study, and the pages that notes link to."""

from collections.abc import Sequence
from urllib.parse import quote

from sweeper.config import Sweep
from sweeper.redact import visible


def fronts_page(sweep: Sweep) -> str:
    """Return the path of the live fronts of a sweep; a confirmation is shown on its sweep's."""
    search = sweep.confirms.of if sweep.confirms else sweep.name
    return f"/sweeps/{quote(search, safe='')}/"


def study_page(study: int) -> str:
    """Return the path of a study in the Optuna dashboard."""
    return f"/dashboard/studies/{study}"


def trial_page(study: int, trial: int) -> str:
    """Return the path of a trial in the Optuna dashboard."""
    return f"{study_page(study)}/trials?numbers={trial}"


def arm_note(sweep: Sweep, name: str, repeats: Sequence[int], home: int) -> str:
    """Return the note of an arm's study; `home` is the id of the sweep's own study.

    It says nothing that a longer search would change: it is written once.
    """
    return "\n\n".join(
        [
            f"## {_title(sweep, name, repeats)}",
            f"[Fronts of all arms]({fronts_page(sweep)}) · [figures and table of "
            f"{sweep.name}]({study_page(home)})",
            _what(sweep, name),
            _values(sweep),
            _attributes(sweep),
        ]
    )


def _title(sweep: Sweep, name: str, repeats: Sequence[int]) -> str:
    if sweep.confirms:
        return f"{name} of {sweep.confirms.of}, confirmed"
    return f"{name} of {sweep.name}, repeat {repeats[0]}"


def _what(sweep: Sweep, name: str) -> str:
    """Return the method and the penalties of an arm, a line for each."""
    arm = sweep.arms[name]
    lines = []
    if arm.entry:
        entry = arm.entry
        lines.append(f"- **{arm.method}**: {entry.description} ({entry.reference})")
    for term in arm.terms:
        formula = term.formula
        text = f"{formula.summary}, `{formula.formula}`" if formula.formula else formula.summary
        reference = f" ({formula.reference})" if formula.reference else ""
        lines.append(f"- **{term.penalty}** as {term.mode}{term.remarks}: {text}{reference}")
    lines = lines or ["- no penalty and no method: training as usual"]
    if sweep.script is not None:
        return _trained(sweep, f"Trained by {_code(sweep.subject)}. ") + "\n".join(lines)
    # A file may have any name, and this is Markdown.
    name = sweep.dataset.text
    name = visible(name) if sweep.dataset.in_registry else _code(name)
    return _trained(sweep, f"On {name} with {sweep.model.text}. ") + "\n".join(lines)


def _trained(sweep: Sweep, by: str) -> str:
    if sweep.confirms:
        searches = "The configurations that the searches of this arm chose, trained again with "
        return f"{by}{searches}fresh seeds:\n\n"
    return f"{by}One independent search ({sweep.search.sampler}) of this arm:\n\n"


def _code(text: str) -> str:
    """Return text of others as code in Markdown."""
    text = visible(text).replace("`", "'")
    return f"`{text}`"


def _values(sweep: Sweep) -> str:
    key, floor = sweep.measure_key, sweep.sparsification.floor
    if sweep.script is not None:
        floor = sweep.objectives.floor
    track = "after pruning" if sweep.sparsification.track == "pruned" else "as trained"
    size = f" of {sweep.total_parameters:,}" if sweep.total_parameters else ""
    if sweep.confirms:
        chosen = f"**test_{key}**, in [0, 1], is of the same network. Nothing is selected here"
    elif sweep.select_on == "test":
        chosen = f"**test_{key}**, in [0, 1], is of the same network. Selected on it: too good"
    else:
        chosen = (
            f"**val_{key}**, in [0, 1], is of the same network, on validation examples. Networks "
            f"are selected on these two alone; `test_{key}` only stands beside"
        )
    counts = (
        f"**nonzero** counts the parameters that are not exactly 0{size}, biases included, {track}"
    )
    if sweep.script is not None:
        counts = f"**{sweep.size_key}** is the size ({visible(sweep.size_label)}) that it measured"
    return (
        f"{counts}. {chosen}. A trial that diverged, or collapsed "
        f"under {floor:.4g} of {sweep.measure_label}, is told as failed, with an `outcome`: it is "
        "on no front."
    )


def _attributes(sweep: Sweep) -> str:
    if sweep.script is not None:
        return (
            "Attributes of trials: `strength`, the factor before the (first) penalty; `seconds` of "
            "its last attempt; the further numbers that it measured; `learning_curve`, points of "
            "epoch and quality."
        )
    pruned = sweep.sparsification.track == "pruned"
    other = "as_trained" if pruned else "pruned"
    which = "before it was pruned" if pruned else "after it was pruned"
    return (
        "Attributes of trials: `strength`, the factor before the (first) penalty; `density`, kept "
        "weights / all weights; `effective_nonzero`, without what cannot reach the output; "
        f"`seconds`, its share of the training; `{other}_…`, the network {which}."
    )
