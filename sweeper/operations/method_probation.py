"""Probation of methods of a user's own, in the process that tries a study's parts."""

from collections.abc import Iterator

from sweeper.config import Sweep
from sweeper.config.arm import Arm
from sweeper.config.domains import values
from sweeper.config.penalty import hyper_problems, is_domain, midpoint, resolve_domains
from sweeper.config.registry import METHODS
from sweeper.errors import PluginError
from sweeper.types import MethodConfig


def outside_methods(sweep: Sweep) -> list[str]:
    """Return the names of methods that are not in the registry."""
    names = (arm.method for arm in sweep.arms.values())
    return list(dict.fromkeys(name for name in names if name and name not in METHODS))


def method_answers(sweep: Sweep, place: str) -> Iterator[dict[str, str]]:
    """Yield the name of each method that is tried, its problems and oddities."""
    if not outside_methods(sweep):
        return
    from sweeper.training.custom_methods import method_class
    from sweeper.training.validate_methods import try_method

    for key, arm in sweep.arms.items():
        name = arm.method
        if name is None or name in METHODS:
            continue
        where = f"{place}: arms.{key}"
        yield {"trying": f"{where}.method: {name}"}
        try:
            entries = method_class(name).hyper
            problems = [
                f"{where}.{hyper}: {text}"
                for hyper, value in arm.method_hyper.items()
                if hyper in entries
                for text in hyper_problems(entries[hyper], value)
            ]
            yield from ({"problem": problem} for problem in problems)
            if problems:
                continue
            oddities = dict.fromkeys(
                oddity for config in examples(arm) for oddity in try_method(config)
            )
            yield from ({"warning": f"arms.{key}.method: {oddity}"} for oddity in oddities)
        except PluginError as error:
            reason = str(error).removeprefix(f"{name}: ")
            yield {"problem": f"{where}.method: {name}: {reason}"}


def examples(arm: Arm) -> Iterator[MethodConfig]:
    """Yield the method of an arm without its penalties, with values from its domains."""
    hyper = arm.method_hyper
    usual = {key: midpoint(value) for key, value in hyper.items()}
    ends = [
        {**usual, key: value}
        for key, domain in hyper.items()
        if is_domain(domain)
        for value in values(domain)
    ]
    for params in (usual, *ends):
        yield MethodConfig(name=arm.method or "plain", hyper=resolve_domains({}, hyper, params))
