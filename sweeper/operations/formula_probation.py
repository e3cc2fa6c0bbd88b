"""Probation of formulas of a user's own, in the process that tries a study's parts."""

from collections.abc import Iterator

from sweeper.config import Sweep
from sweeper.config.penalty import hyper_problems
from sweeper.config.registry import FORMULAS
from sweeper.errors import PluginError


def formula_answers(sweep: Sweep, place: str) -> Iterator[dict[str, str]]:
    """Yield the name of each formula that is tried, and its problems."""
    outside_terms = [
        (name, term)
        for name, arm in sweep.arms.items()
        for term in arm.terms
        if term.penalty not in FORMULAS
    ]
    if not outside_terms:
        return
    from sweeper.training.custom_formulas import resolve
    from sweeper.training.validate_formulas import try_out as try_formula

    for name, term in outside_terms:
        where = f"{place}: arms.{name}" + (f".sum.{term.penalty}" if term.prefix else "")
        key = "" if term.prefix else f".penalty: {term.penalty}"
        yield {"trying": f"{where}{key}"}
        try:
            formula = resolve(term.penalty)
            hyperparameters = formula.hyper
            for hyper, value in term.own_keys.items():
                if hyper in hyperparameters:
                    problems = hyper_problems(hyperparameters[hyper], value)
                    yield from ({"problem": f"{where}.{hyper}: {text}"} for text in problems)
            if term.keys.apply is None and formula.default_mode != term.mode:
                usual = f"{formula.default_mode} is its usual way, {term.mode} that of the file"
                yield {"problem": f"{where}.apply: required: {usual}"}
            try_formula(term.examples())
        except PluginError as error:
            yield {"problem": f"{where}{key}: {str(error).removeprefix(f'{term.penalty}: ')}"}
