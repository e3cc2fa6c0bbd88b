"""The command that trains on a cluster, or with a share of this machine: launch."""

import shlex
from typing import Annotated, cast

import typer

from sweeper.api import DEFAULT_STORAGE, On
from sweeper.cli.common import DataFolder, Device, Pack, Storage, StudyFile
from sweeper.cli.running import Extend, conduct, ending


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(launch)


def launch(
    file: StudyFile,
    on: Annotated[
        str, typer.Option("--on", metavar="PLACE", help="local, for this machine, or ray.")
    ] = "local",
    storage: Storage = DEFAULT_STORAGE,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many.  [default: as many as there is room for]",
            show_default=False,
        ),
    ] = None,
    cpus: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Processor cores for each worker, which trains on one.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="GPUs for each worker: 1, or 0.5 for two workers on each.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: a Ray that is "
            "started here and ended again]",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    extend: Extend = False,
) -> None:
    """Run a study file with workers on Ray, or on this machine; goes on where it stopped."""
    from sweeper.worker.capacity import checked

    words = ["sweeper", "launch", str(file), "--on", on]
    if address:
        words += ["--address", address]
    name = conduct(
        file,
        storage,
        again=shlex.join(words),
        on=cast(On, on),
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        address=address,
        device=device,
        pack=checked(pack),
        data=data,
        extend=extend,
    )
    ending(name, storage, None, say_how=True)
