"""The command `network`: a confirmed network as a file for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Name,
    Storage,
    console,
    count,
    open_store,
    percent,
    warn,
)
from sweeper.errors import InputError, pluralize
from sweeper.settings import DEFAULT_STORAGE

if TYPE_CHECKING:
    from sweeper.operations.stored_network import StoredNetwork
    from sweeper.training.network_description import NetworkDescription


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(network)


def network(
    name: Name,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="Ends in .safetensors, .pt2 or .onnx.", show_default=False
        ),
    ],
    arm: Annotated[
        str, typer.Option("--arm", help="Of this arm.  [default: any]", show_default=False)
    ] = "",
    at: Annotated[
        int | None,
        typer.Option("--at", min=0, metavar="N", help="At most N nonzero parameters."),
    ] = None,
    trial: Annotated[
        str | None, typer.Option("--trial", metavar="STUDY#N", help="This one, by its number.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Of a .pt2 or .onnx: takes raw examples, standardises first."),
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = None,
    data: DataFolder = None,
) -> None:
    """Write the best of the confirmed networks that are kept, as a file for other programs.

    The best on validation, within a size if one is given. `sweeper.load_network` reads a
    .safetensors file, `torch.export.load` a .pt2 file, onnxruntime an .onnx file.
    """
    from sweeper.operations.stored_network import find_network
    from sweeper.training.network_description import check_ending

    check_ending(out)
    if raw and out.suffix == ".safetensors":
        raise InputError(
            f"--raw: a {out.suffix} file holds weights, and the numbers beside them: "
            "sweeper.load_network(FILE, normalise=True) puts them first"
        )
    with open_store(storage, waits=True) as store, activity(f"{name}: looking for the network"):
        chosen = find_network(store, name, artifacts, arm=arm, at=at, trial=trial)
    with activity(f"{out}: writing the network"):
        from sweeper.training.network_files import write_network  # PyTorch takes seconds

        description = chosen.description(data, raw=raw)
        module = chosen.module(description, raw=raw)
        if raw:
            description = description.with_raw_inputs()
        write_network(out, module, description, chosen.about())
    _say(chosen, description, out)


def _say(chosen: "StoredNetwork", description: "NetworkDescription", out: Path) -> None:
    terminal, evaluation = console(), chosen.evaluation
    if chosen.preferred:
        better = pluralize(chosen.preferred, "network")
        warn(f"{better} would be chosen before this one, but nothing is kept of them")
    size = f"{count(evaluation.nonzero)} of {count(chosen.record.result.total)} parameters"
    quality = (
        f"validation {percent(evaluation.val_accuracy)} %, test {percent(evaluation.test_accuracy)}"
    )
    terminal.print(f"{chosen.name}: {size} are not 0, {quality} %", soft_wrap=True)
    if description.takes_raw is None:
        warn("without the numbers that its inputs were standardised by: they are not on record")
    terminal.print(f"wrote {out}", soft_wrap=True)
