"""Plugins: objects by their `module:function`; formulas, methods, datasets that packages bring."""

import importlib
import logging
import re
import sys
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from sweeper.config.registry.choices import FORMULAS
from sweeper.config.registry.dataset_entries import DATASET_FORMS, DATASETS
from sweeper.config.registry.entries import Formula, MethodEntry
from sweeper.config.registry.import_folder import FOLDER
from sweeper.config.registry.method_entries import METHODS
from sweeper.errors import PluginError, typed_line

_log = logging.getLogger("sweeper.plugins")
_LOADED: set[str] = set()
GROUP = "sweeper.regularizers"
"""Entry points of this group name formulas of a user's own packages."""
METHOD_GROUP = "sweeper.methods"
"""Entry points of this group name methods: subclasses of `sweeper.Method`."""
DATASET_GROUP = "sweeper.datasets"
"""Entry points of this group name functions that return a dataset."""

PLUGIN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""Form of a name from outside: `package.module:function`."""


def load(name: str) -> Any:
    """Return the object at `package.module:name`. Raises PluginError with the reason.

    It may lie in the folder that sweeper was started in. Where a module there has the name of
    another one, that is said in a line, and the other is used.
    """
    module_name, _, attribute = name.partition(":")
    if module_name in sys.modules and name in _LOADED:  # a formula's, at each step of training
        return getattr(sys.modules[module_name], attribute)
    try:
        with FOLDER.named(module_name):
            value = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise anything when imported
        reason = typed_line(error)
        hidden = (FOLDER.shadowed(module) for module in (module_name, _missed(error)) if module)
        reasons = "; ".join([reason, *filter(None, dict.fromkeys(hidden))])
        raise PluginError(f"{name}: cannot be loaded: {reasons}") from error
    _LOADED.add(name)
    if hidden_file := FOLDER.shadowed(module_name):
        _log.warning("%s: %s", name, hidden_file)
    return value


def _missed(error: BaseException) -> str:
    """Return the module in which an import did not find what it looked for."""
    return (error.name or "") if isinstance(error, ImportError) else ""


@cache
def plugins() -> dict[str, str]:
    """Return the formulas of installed packages: name -> `module:function`. Imports none.

    One with the name of a formula of the registry is left out: what `l1` is, nobody changes.
    """
    targets = {point.name: point.value for point in entry_points(group=GROUP)}
    return {name: value for name, value in sorted(targets.items()) if name not in FORMULAS}


@cache
def method_plugins() -> dict[str, str]:
    """Return the methods of installed packages: name -> `module:Class`. Imports none.

    One with the name of a method of the registry is left out.
    """
    targets = {point.name: point.value for point in entry_points(group=METHOD_GROUP)}
    return {name: value for name, value in sorted(targets.items()) if name not in METHODS}


@cache
def dataset_plugins() -> dict[str, str]:
    """Return the datasets of installed packages: name -> `module:function`. Imports none.

    One with a name of the registry is left out: what `mnist` is, nobody changes.
    """
    targets = {point.name: point.value for point in entry_points(group=DATASET_GROUP)}
    taken = {*DATASETS, *DATASET_FORMS}
    return {name: value for name, value in sorted(targets.items()) if name not in taken}


def formula_of(name: str) -> Formula:
    """Return the entry of a formula; of one from outside it holds nothing but the name.

    What is not in the registry is imported nowhere but where it is tried and used.
    """
    if name in FORMULAS:
        return FORMULAS[name]
    return Formula(
        summary=f"{name}, a formula of one's own",
        formula="R(W), see its code",
        reference="",
        value=name,
        default_mode="loss",
    )


def method_of(name: str) -> MethodEntry:
    """Return the entry of a method; of one from outside it holds nothing but the name."""
    if name in METHODS:
        return METHODS[name]
    return MethodEntry(
        summary=f"{name}, a method of one's own",
        description="See its code.",
        reference="",
        factory=name,
        takes_density=False,
    )
