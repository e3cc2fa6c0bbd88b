"""Formula pages: what is known of a formula or method as plain values, and as a page of text."""

import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from sweeper.config.registry import (
    APPLY_MODES,
    EXACT_ZEROS,
    ApplyMode,
    Formula,
    Hyperparameter,
    MethodEntry,
    load,
)
from sweeper.types import Scalar

WIDTH = 80
_DOES: Mapping[ApplyMode, str] = {
    "loss": "a term of the loss",
    "decoupled": "a step along its gradient beside the optimizer's, outside its moments",
    "prox": "its exact proximal operator after each step",
    "shrink": "a step of learning rate x strength x max(0, dR/d|w|) towards 0 that stops at 0",
}
_LETTERS = {
    "W": "a matrix of weights [out, in]; kernels as [out, in x height x width]",
    "w": "a weight of W",
    "A": "|W|",
    "S": "sum A",
    "P": "A / S",
    "r": "the row sums of P",
    "c": "the column sums of P",
    "H": "the entropy H(q) = -sum q log q",
    "g": "a group of weights; |w_g|_2 is the root of the sum of its squares",
    "d": "the number of weights of the group",
    "D": "the differences between neighbours in W, down and across",
    "u": "the weights of a neuron, a row of W",
    "v": "the same, the sheet of neurons shrunk and enlarged again",
    "L": "the distances between the places of neurons and inputs",
}
_IN_TURN = {"r": "P", "c": "P", "P": "AS", "S": "A"}
"""Letters that the meaning of a letter needs."""
_KINDS = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def of_formula(name: str, formula: Formula) -> dict[str, Any]:
    """Return what is known of a formula, as JSON can hold it."""
    zeros = [mode for mode in formula.modes if mode in EXACT_ZEROS] if formula.gives_zeros else []
    arm: dict[str, Any] = {"penalty": name}
    if name != "none":
        arm.update(apply=formula.default_mode, strength="auto")
    return {
        "kind": "formula",
        "name": name,
        "summary": formula.summary,
        "formula": formula.formula,
        "letters": _letters(formula),
        "inner_strength": formula.strength_inside,
        "ways": list(formula.modes),
        "default_way": formula.default_mode,
        "why_not": dict(formula.unsupported),
        "keys": {key: _hyper(hyper) for key, hyper in formula.hyper.items()},
        "sees": formula.sees_arrangement_of,
        "scale_invariant": formula.scale_invariant,
        "exact_zeros": zeros,
        "reference": formula.reference,
        "arm": {**arm, **{key: hyper.default for key, hyper in formula.hyper.items()}},
    }


def of_method(name: str, entry: MethodEntry) -> dict[str, Any]:
    """Return what is known of a method, as JSON can hold it."""
    arm: dict[str, Any] = {"method": name, **({"strength": "auto"} if entry.has_strength else {})}
    return {
        "kind": "method",
        "name": name,
        "summary": entry.summary,
        "description": entry.description,
        "keys": {key: _hyper(hyper) for key, hyper in entry.hyper.items()},
        "strength": entry.has_strength,
        "takes_density": entry.takes_density,
        "fully_connected_only": entry.mlp_only,
        "reference": entry.reference,
        "arm": {**arm, **{key: hyper.default for key, hyper in entry.hyper.items()}},
    }


def of_plugin(name: str, place: str) -> dict[str, Any]:
    """Import a formula or method from outside; return what it says. Raises PluginError."""
    from sweeper.training.custom_formulas import resolve

    loaded = load(place)
    if isinstance(loaded, type):
        return {**of_method(name, _entry(place)), "place": place}
    formula = resolve(place)
    if isinstance(loaded, Formula):
        # What a formula says is its usual way is not known before it is imported: see `spec`.
        return {**of_formula(name, formula), "default_way": "loss", "place": place}
    docstring = inspect.getdoc(loaded) or ""
    defaults = _defaults(loaded)
    keys = {key: {"default": value} for key, value in defaults.items()}
    chosen = {key: value for key, value in defaults.items() if value is not None}
    return {
        "kind": "formula",
        "name": name,
        "place": place,
        "summary": " ".join(docstring.split("\n\n")[0].split()) or "it has no docstring",
        "ways": list(formula.modes),
        "default_way": formula.default_mode,
        "why_not": dict(formula.unsupported),
        "keys": keys,
        "arm": {"penalty": name, "apply": formula.default_mode, "strength": "auto", **chosen},
    }


def _entry(place: str) -> MethodEntry:
    """Return what a method from outside says of itself. Raises PluginError."""
    from sweeper.training.custom_methods import method_class

    method = method_class(place)
    summary, _, description = (inspect.getdoc(method) or "").partition("\n\n")
    return MethodEntry(
        summary=" ".join(summary.split()) or "it has no docstring",
        description=" ".join(description.split()) or "See its code.",
        reference="",
        factory=place,
        hyper=method.hyper,
        takes_density=method.takes_density,
    )


def _defaults(function: Any) -> dict[str, Scalar | None]:
    """Return the keys of a function with their defaults; None for one that is required."""
    try:
        _, *parameters = inspect.signature(function).parameters.values()
    except ValueError:  # it takes nothing, or is not written in Python
        return {}
    return {
        parameter.name: parameter.default
        if isinstance(parameter.default, float | int | str)
        else None
        for parameter in parameters
        if parameter.kind in _KINDS
    }


def page(facts: Mapping[str, Any]) -> str:
    """Return what `of_formula`, `of_method` or `of_plugin` returned as text."""
    import yaml

    name = str(facts["name"])
    heading = re.sub(r"\W+", "_", name.rpartition(":")[2])
    arm = yaml.safe_dump({"arms": {heading: dict(facts["arm"])}}, sort_keys=False)
    parts = [
        _wrapped(f"{name}: {facts['summary']}") + "\n",
        _section("formula", _formula_lines(facts)),
        _section("how", [facts["description"]] if "description" in facts else []),
        _section("ways", _pairs(_modes(facts))),
        _section("keys", _pairs(_keys(facts))),
        _section("properties", _pairs(_properties(facts))),
        _section("reference", [facts["reference"]] if facts.get("reference") else []),
        f"an arm of a study file\n{textwrap.indent(arm, '  ')}",
    ]
    return "\n".join(part for part in parts if part).rstrip()


def _letters(formula: Formula) -> dict[str, str]:
    """Return the letters of a formula that are none of its keys, with their meaning."""
    needed = {"W", *re.findall("[A-Za-z]+", formula.formula)} - set(formula.hyper)
    for letter in ("r", "c", "P", "S"):
        if letter in needed:
            needed |= set(_IN_TURN[letter])
    meanings = {letter: text for letter, text in _LETTERS.items() if letter in needed}
    if formula.strength_inside:
        meanings["strength"] = "the file's; here a letter of R, elsewhere the factor before it"
    return meanings


def _hyper(hyper: Hyperparameter) -> dict[str, Any]:
    notes = []
    if hyper.differentiable_from > -math.inf:
        notes.append(f"at least {hyper.differentiable_from:g} as loss or decoupled")
    if hyper.min_above_learning_rate is not None:
        more = f" + {hyper.min_above_learning_rate:g}" if hyper.min_above_learning_rate else ""
        notes.append(f"above the learning rate{more} as prox")
    return {
        "default": hyper.default,
        "allowed": hyper.allowed,
        "choices": list(hyper.choices),
        "summary": hyper.summary,
        "notes": notes,
    }


def _formula_lines(facts: Mapping[str, Any]) -> list[str]:
    if "formula" not in facts:
        return []
    letters = [f"{letter}: {meaning}" for letter, meaning in facts["letters"].items()]
    factor = "" if facts["inner_strength"] else "strength x "
    total = f"The penalty is {factor}the sum of R over all matrices of weights."
    return [facts["formula"], *letters, total]


def _modes(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if "ways" not in facts:
        return
    for mode in APPLY_MODES:
        usual = " (unless the file says otherwise)" if mode == facts["default_way"] else ""
        if mode in facts["ways"]:
            yield mode, _DOES[mode] + usual
        else:
            yield mode, f"not there: {facts['why_not'].get(mode, 'it names none')}"


def _keys(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, known in facts["keys"].items():
        usual = known["default"]
        parts = ["required" if usual is None else f"default {_shown(usual)}"]
        if known.get("choices"):
            parts.append(f"one of {known['allowed']}")
        elif "allowed" in known:
            parts.append(f"in {known['allowed']}")
        parts += [*known.get("notes", ()), *([known["summary"]] if "summary" in known else [])]
        yield key, "; ".join(parts)


def _properties(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if "place" in facts:
        yield "comes from", str(facts["place"])
    if facts["kind"] == "method":
        own = "one of its own: it stands without penalties"
        yield "strength", own if facts["strength"] else "none: it may stand beside penalties"
        cut = "while it is trained" if facts["takes_density"] else "after the training, as any arm"
        yield "cut to the density", cut
        if facts["fully_connected_only"]:
            yield "needs", "a fully connected network"
    elif "sees" in facts:
        sees = "no: a weight's place in the matrix does not matter"
        if facts["sees"]:
            sees = f"{facts['sees']}; `shuffle: true` makes the control without"
        yield "sees arrangement", sees
        scaled = "with `scaled: false`" if "scaled" in facts["keys"] else "yes"
        invariant = f"{scaled}, R(aW) = R(W) for a > 0" if facts["scale_invariant"] else "no"
        yield "scale invariant", invariant
        zeros = " and ".join(facts["exact_zeros"])
        yield "exact zeros", f"by {zeros}" if zeros else "none while it is trained"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:{width}}  {text}" for name, text in rows]


def _section(title: str, lines: Iterable[str]) -> str:
    """Return a title with its lines below; what is wrapped stands under the second column."""
    shown = []
    for line in lines:
        first = re.match(r"\S.*?\S? {2,}", line)
        shown.append(_wrapped(line, "  ", " " * (2 + (len(first[0]) if first else 2))))
    return "\n".join([title, *shown, ""]) if shown else ""


def _wrapped(text: str, first: str = "", later: str = "  ") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )
