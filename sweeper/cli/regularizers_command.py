"""Command `regularizers`: the formulas and methods that arms are made of."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli import formula_page
from sweeper.cli.activity import activity
from sweeper.cli.common import console, table
from sweeper.config.registry import (
    APPLY_MODES,
    EXACT_ZEROS,
    FORMULAS,
    METHODS,
    PLUGIN,
    Formula,
    method_plugins,
    plugins,
)
from sweeper.errors import InputError, choices

if TYPE_CHECKING:
    from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(regularizers)


def regularizers(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A formula, a method, or package.module:name.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List formulas and methods, or say all about one of them."""
    if name is not None:
        with activity(f"{name}: trying it"):
            facts = described(name)
        typer.echo(json.dumps(facts, indent=2) if as_json else formula_page.page(facts))
        return
    if as_json:
        listed = {
            "formulas": [formula_page.of_formula(key, entry) for key, entry in FORMULAS.items()],
            "methods": [formula_page.of_method(key, entry) for key, entry in METHODS.items()],
            "plugins": plugins(),
            "method_plugins": method_plugins(),
        }
        typer.echo(json.dumps(listed, indent=2))
        return
    terminal = console()
    terminal.print("formulas, for `penalty:` and `sum:`")
    terminal.print(formula_table())
    terminal.print(
        "ways: l loss, d decoupled, p prox, s shrink; the capital one unless the file says "
        "otherwise. sees: the arrangement of weights that R(W) depends on. zeros: whether prox or "
        "shrink sets weights to exactly 0."
    )
    terminal.print("\nmethods, for `method:`")
    terminal.print(method_table())
    for what, place, installed in (
        ("formula", "function", plugins()),
        ("method", "class", method_plugins()),
    ):
        if installed:
            terminal.print(f"\n{what}s of installed packages")
            shown = table(what, place)
            for name_of_it, target in installed.items():
                shown.add_row(name_of_it, target)
            terminal.print(shown)
    terminal.print("\nmore about each: sweeper regularizers NAME")


def described(name: str) -> dict[str, Any]:
    """Return what is known of a formula or method; imports one from outside. Raises InputError."""
    if name in FORMULAS:
        return formula_page.of_formula(name, FORMULAS[name])
    if name in METHODS:
        return formula_page.of_method(name, METHODS[name])
    place = {**method_plugins(), **plugins()}.get(name, name)
    if PLUGIN.fullmatch(place):
        return formula_page.of_plugin(name, place)
    installed = [*plugins(), *method_plugins()]
    allowed = [*FORMULAS, *METHODS, *installed, "package.module:function"]
    raise InputError(f"no such formula or method: {choices(name, allowed)}")


def formula_table() -> "Table":
    """Return one line or two for each formula, 80 columns wide."""
    shown = table("formula", "in a few words", "ways", "sees", "zeros")
    for name, formula in FORMULAS.items():
        shown.add_row(
            name, formula.summary, _letters(formula), formula.sees_arrangement_of, _zeros(formula)
        )
    return _fitting(shown, (19, 35, 4, 13, 5))


def method_table() -> "Table":
    """Return two lines or so for each method, 80 columns wide."""
    shown = table("method", "in a few words", "with penalties", "cut to the density")
    for name, entry in METHODS.items():
        cut = "while trained" if entry.takes_density else "after, as usual"
        shown.add_row(name, entry.summary, "no" if entry.has_strength else "yes", cut)
    return _fitting(shown, (19, 35, 9, 14))


def _fitting(shown: "Table", widths: tuple[int, ...]) -> "Table":
    """Set the widths of the columns, with one space between them."""
    shown.padding = (0, 0)
    for column, width in zip(shown.columns, widths, strict=True):
        column.width = width
    return shown


def _letters(formula: Formula) -> str:
    """Return `ldPs` for loss, decoupled, prox (the default) and shrink; `-` for none."""
    return "".join(
        "-"
        if mode not in formula.modes
        else mode[0].upper()
        if mode == formula.default_mode
        else mode[0]
        for mode in APPLY_MODES
    )


def _zeros(formula: Formula) -> str:
    return "yes" if formula.gives_zeros and EXACT_ZEROS & set(formula.modes) else "no"
