"""The command `run`: a study file run to its end on this machine."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import (
    Artifacts,
    Changes,
    DataFolder,
    Device,
    Pack,
    Storage,
    StudyFile,
    Trials,
)
from sweeper.cli.mirror_command import Mirrors, named_mirrors
from sweeper.cli.run_output import print_summary, run_with_progress
from sweeper.cli.time_options import For, Until, end_of_time
from sweeper.settings import DEFAULT_STORAGE

Extend = Annotated[
    bool,
    typer.Option(
        "--extend", help="The file only adds trials, repeats or arms, or has other targets."
    ),
]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(run)


def run(
    file: StudyFile,
    changes: Changes = None,
    storage: Storage = DEFAULT_STORAGE,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes.  [default: one for each GPU, or for each core, at most 8; of scripts "
            "as many as there is room for]",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    trials: Trials = None,
    artifacts: Artifacts = None,
    mirror: Mirrors = None,
    until: Until = None,
    for_: For = None,
    extend: Extend = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where the report goes.  [default: sweeps/NAME/report.html]",
            show_default=False,
        ),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
) -> None:
    """Run a study file to its end; the same command goes on where it stopped."""
    from sweeper import api
    from sweeper.config.study_changes import parse_changes
    from sweeper.operations.sweep_report import report_path
    from sweeper.trainers.pack_size import parse_pack_size

    end = end_of_time(until, for_)
    train = partial(
        api.launch,
        file,
        storage,
        workers=workers,
        device=device,
        pack=parse_pack_size(pack),
        data=data,
        trials=trials,
        artifacts=artifacts,
        mirrors=named_mirrors(mirror),
        until=end,
        extend=extend,
        changes=parse_changes(changes or ()),
    )
    name = run_with_progress(train)
    print_summary(name, storage, None if no_report else report or report_path(name), until=end)
