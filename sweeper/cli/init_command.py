"""The command `init`: a first study file, with comments, and a first training of one's own."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated

import typer

from sweeper.errors import InputError

TEMPLATE = "study.yaml"
SCRIPT_TEMPLATE = "script_study.yaml"
_ARMS = """\
  dense: {}                     # nothing of its own
  wide: {parameters: {width: 128}}            # values of its own
"""
_PENALTIES = """\
  l1:                           # a penalty, see `sweeper regularizers`: trial.penalty(network)
    penalty: l1
    apply: prox
    strength: {log_uniform: [1e-5, 1e-2]}     # lambda: a number or a domain
"""
_FUNCTION = """\
trial: training:train           # package.module:function, found from the current folder: it is
                                # called with a sweeper.Trial, and returns what it measured"""
_COMMAND = """\
command: [sh, training.sh, "{learning_rate}", "{width}"]
                                # started in the current folder; {name} is a value of the trial,
                                # {seed}, {folder}, {device}, {data}, {arm}, {attempt} ..."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(init)


def template() -> str:
    """Return the commented study file that `init` writes."""
    return _packaged(TEMPLATE)


def script_template(*, command: bool) -> str:
    """Return the commented study file of a function, or of a command, that `init` writes."""
    text = _packaged(SCRIPT_TEMPLATE)
    arms = _ARMS if command else _ARMS + _PENALTIES
    return text.replace("@SCRIPT@", _COMMAND if command else _FUNCTION).replace("@ARMS@\n", arms)


def _packaged(name: str) -> str:
    return package_files("sweeper.cli").joinpath(name).read_text(encoding="utf-8")


def init(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path(),
    trial: Annotated[
        bool, typer.Option("--trial", help="For a Python function of yours: training.py, too.")
    ] = False,
    command: Annotated[
        bool, typer.Option("--command", help="For a command of yours: training.sh, too.")
    ] = False,
) -> None:
    """Write a commented study file, study.yaml, that runs as it is."""
    if trial and command:
        raise InputError("--command: a sweep has either a trial or a command")
    contents = {TEMPLATE: script_template(command=command) if trial or command else template()}
    if trial:
        contents["training.py"] = _packaged("training.py.txt")
    if command:
        contents["training.sh"] = _packaged("training.sh")
    with ExitStack() as stack:
        for name, text in contents.items():
            stack.enter_context(_written(folder, folder / name, text))
    files = " and ".join(str(folder / name) for name in contents)
    where, path = "", folder / TEMPLATE
    if len(contents) > 1:  # modules and files are found from the current folder
        where = "" if folder == Path() else f"cd {shlex.quote(str(folder))}, then "
        path = Path(TEMPLATE)
    typer.echo(f"wrote {files}; next: {where}sweeper check {path}, then sweeper run {path}")


@contextmanager
def _written(folder: Path, path: Path, text: str) -> Iterator[None]:
    """Write a new file; it is removed where a `with` block raises an error. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file, _removed_on_error(path):
            file.write(text)
            file.flush()
    except FileExistsError:
        if not folder.is_dir():
            raise InputError(f"{folder}: must be a folder, and is a file") from None
        raise InputError(f"{path}: is there already, and is left as it is") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    with _removed_on_error(path):
        yield


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    """Remove a new file where a `with` block could not write all of it, or what goes with it."""
    try:
        yield
    except (OSError, InputError):
        path.unlink()
        raise
