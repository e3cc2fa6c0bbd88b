"""The command `launch`: a study file run on a Ray cluster, or with a share of this machine."""

from functools import partial
from typing import Annotated, cast

import typer

from sweeper.api import On
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
from sweeper.cli.run_command import Extend
from sweeper.cli.run_output import print_summary, run_with_progress
from sweeper.cli.time_options import For, Until, end_of_time
from sweeper.settings import DEFAULT_STORAGE

Place = Annotated[
    str, typer.Option("--on", metavar="PLACE", help="local, for this machine, or ray.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many.  [default: as many as there is room for]",
        show_default=False,
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Processor cores for each worker.  [default: 1, or what a script's file says]",
        show_default=False,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="GPUs for each worker: 1, or 0.5 for two workers on each; for a script 2, too.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: a Ray that is "
        "started here and ended again]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(launch)


def launch(
    file: StudyFile,
    changes: Changes = None,
    on: Place = "local",
    storage: Storage = DEFAULT_STORAGE,
    workers: Workers = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    trials: Trials = None,
    artifacts: Artifacts = None,
    mirror: Mirrors = None,
    until: Until = None,
    for_: For = None,
    extend: Extend = False,
) -> None:
    """Run a study file with workers on Ray, or on this machine; goes on where it stopped."""
    from sweeper import api
    from sweeper.config.study_changes import parse_changes
    from sweeper.trainers.pack_size import parse_pack_size

    end = end_of_time(until, for_)
    train = partial(
        api.launch,
        file,
        storage,
        on=cast(On, on),
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        address=address,
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
    print_summary(name, storage, None, say_how=True, until=end)
