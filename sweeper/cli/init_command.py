"""The command `init`: a first study file, with comments."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated

import typer

from sweeper.errors import InputError

TEMPLATE = "study.yaml"


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(init)


def template() -> str:
    """Return the commented study file that `init` writes."""
    return package_files("sweeper.cli").joinpath(TEMPLATE).read_text(encoding="utf-8")


def init(
    folder: Annotated[Path, typer.Argument(help="Where the file goes.")] = Path(),
) -> None:
    """Write a commented study file, study.yaml, that runs as it is."""
    path = folder / TEMPLATE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file, _removed_on_error(path):
            file.write(template())
            file.flush()
    except FileExistsError:
        if not folder.is_dir():
            raise InputError(f"{folder}: must be a folder, and is a file") from None
        raise InputError(f"{path}: is there already, and is left as it is") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {path}; next: sweeper check {path}, then sweeper run {path}")


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    """Remove a new file where a `with` block could not write all of it."""
    try:
        yield
    except OSError:
        path.unlink()
        raise
