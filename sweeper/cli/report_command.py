"""The command `report`: one HTML file about a sweep, or its figure."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Artifacts, Name, Storage, open_store
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(report)


def report(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    out: Annotated[
        Path | None,
        typer.Option(help="Where it goes.  [default: sweeps/NAME/report.html]", show_default=False),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Only the fronts, as .svg, or as .pdf or .png (sweeper[figures])."),
    ] = None,
    artifacts: Artifacts = None,
) -> None:
    """Write one HTML file that says what a sweep found; it works offline."""
    from sweeper.operations.sweep_report import report_path, reported_record
    from sweeper.reports import write_report

    lines = []
    with activity(f"{name}: reading all trials") as doing:
        with open_store(storage) as store:
            record = reported_record(store, name, artifacts)
        doing(f"{name}: drawing its fronts")
        if figure:
            from sweeper.plots import save_image, standalone_picture
            from sweeper.reports import figures

            picture = standalone_picture(figures(record)["fronts"])
            lines.append(f"figure: {save_image(*picture, figure, dots=2)}")
        if out or not figure:
            lines.append(f"report: {write_report(out or report_path(name), record)}")
    for line in lines:
        typer.echo(line)
