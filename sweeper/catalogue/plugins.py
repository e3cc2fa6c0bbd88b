"""Objects by their `module:function`, and formulas that other packages bring."""

import importlib
import re
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from sweeper.catalogue.formulas import FORMULAS
from sweeper.catalogue.kinds import Formula
from sweeper.errors import PluginError

GROUP = "sweeper.regularizers"
"""Entry points of this group name formulas of a user's own packages."""

PLUGIN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How a formula of one's own is named: `package.module:function`."""


def load(name: str) -> Any:
    """Return the object at `package.module:name`. Raises PluginError with the reason."""
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise anything when imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"{name}: cannot be loaded: {reason}") from error


@cache
def plugins() -> dict[str, str]:
    """Return the formulas of installed packages: name -> `module:function`. Imports none.

    One with the name of a formula of the catalogue is left out: what `l1` is, nobody changes.
    """
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    return {name: value for name, value in sorted(found.items()) if name not in FORMULAS}


def formula_of(name: str) -> Formula:
    """Return what is known of a formula; of one from outside nothing but its name.

    What is not in the catalogue is imported nowhere but where it is tried and used.
    """
    if name in FORMULAS:
        return FORMULAS[name]
    return Formula(
        summary=f"{name}, a formula of one's own",
        formula="R(W), see its code",
        reference="",
        value=name,
        default_way="loss",
    )
