"""The command `figure`: one picture of a sweep for a paper, of a given size."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import ArmNames, Name, Storage, listed, open_store
from sweeper.errors import InputError
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(figure)


def figure(
    name: Name,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="fronts, confirmed, hypervolume, effort, curves, finetuned or learning.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Where it goes: .svg, or with sweeper[figures] .pdf or .png.",
            show_default=False,
        ),
    ],
    storage: Storage = DEFAULT_STORAGE,
    size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="As 84x60mm, in in, cm, mm or px; or column, or page."),
    ] = "3.3x2.4in",
    arms: ArmNames = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published/--no-published", help="Published networks beside those of a sweep."
        ),
    ] = True,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="One more sweep in the same picture, for fronts; may be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw one picture of a sweep for a paper: no title, text that can be read, fonts in a PDF.

    An arm has its colour and marker in every picture. SVG needs no browser.
    """
    from sweeper.plots import parse_size, save_image, svg_title
    from sweeper.plots.images import image_format

    image_format(out)
    dimensions = parse_size(size)
    named = listed(arms)
    if beside and kind != "fronts":
        raise InputError(f"--with: only fronts of several sweeps stand in one picture, not {kind}")
    with open_store(storage) as store:
        if beside:
            from sweeper.operations.sweep_fronts import SweepFronts
            from sweeper.plots import sized_svg

            records = [store.sweep_record(sweep) for sweep in dict.fromkeys([name, *beside])]
            view = SweepFronts.compared(records, arms=named).view()
            drawn = sized_svg(view if published else replace(view, published=()), dimensions)
        else:
            from sweeper.lifecycle import load_record
            from sweeper.reports.sweep_figures import sized_figure

            drawn = sized_figure(
                load_record(store, name), kind, dimensions, named, published=published
            )
    typer.echo(f"figure: {save_image(drawn, dimensions, out)}")
    typer.echo(f"caption: {svg_title(drawn)}")
