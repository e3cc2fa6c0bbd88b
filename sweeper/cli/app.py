"""Command application: all commands put together, and their errors printed.

The command `sweeper X` stands in `X_command.py`.
"""

import io
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from sweeper.cli import (
    check_command,
    compare_command,
    confirm_command,
    dashboard_command,
    data_command,
    db_command,
    delete_command,
    doctor_command,
    drop_command,
    enqueue_command,
    export_command,
    figure_command,
    front_command,
    init_command,
    launch_command,
    list_command,
    mirror_command,
    network_command,
    pause_command,
    regularizers_command,
    report_command,
    reproduce_command,
    restore_command,
    resume_command,
    run_command,
    schema_command,
    status_command,
    stop_command,
    table_command,
    verify_command,
    worker_command,
)
from sweeper.cli.common import typed
from sweeper.config.registry import FOLDER
from sweeper.errors import InputError, SweeperError
from sweeper.redact import VisibleStream, hide_passwords
from sweeper.worker import interrupts

app = typer.Typer(
    name="sweeper",
    help="Compare sparse regularizers: sweeps with exact budgets, fronts of size and accuracy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: drawing it with rich loads Markdown and Pygments and takes half a second more.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (  # in the order of the help
    run_command,
    worker_command,
    launch_command,
    confirm_command,
    check_command,
    schema_command,
    init_command,
    data_command,
    regularizers_command,
    front_command,
    compare_command,
    table_command,
    figure_command,
    report_command,
    network_command,
    export_command,
    restore_command,
    mirror_command,
    verify_command,
    reproduce_command,
    dashboard_command,
    status_command,
    list_command,
    pause_command,
    resume_command,
    enqueue_command,
    drop_command,
    stop_command,
    delete_command,
    db_command,
    doctor_command,
):
    module.register(app)


_ANYWHERE = frozenset({"-h", "--help", "--version"})
"""What needs no folder to be in."""


def _version(wanted: bool) -> None:
    if wanted:
        from sweeper import __version__

        typer.echo(f"sweeper {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Options before the command; `--debug` may stand anywhere and is taken out by `main`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. A person's own mistake is one line for each thing to mend."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = [word for word in words if word != "--debug"]
    FOLDER.begin()  # in which `package.module:factory` is found, whatever folder is current then
    if FOLDER.folder is None and command and not _ANYWHERE.intersection(command):
        gone = "the current folder does not exist any more: go to another"
        print(f"error: {gone}", file=sys.stderr)
        sys.exit(InputError.exit_code)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that it cannot write is no error
            stream.reconfigure(errors="replace")
    with _harmless(), interrupts.remembered():
        _run(command, debug=len(command) < len(words))


def _run(command: list[str], *, debug: bool) -> None:
    typed.set(tuple(command))
    try:
        app(args=command, prog_name="sweeper")
    except SweeperError as error:
        if debug:
            traceback.print_exc()
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
            sys.exit(1)
        reason = hide_passwords((str(error).splitlines() or [""])[0])
        repeated = hide_passwords(shlex.join(["sweeper", "--debug", *command]))
        print(f"error: a bug in sweeper: {type(error).__name__}: {reason}", file=sys.stderr)
        print(f"       the traceback comes with: {repeated}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _harmless() -> Iterator[None]:
    """Let nothing reach a terminal raw, whoever writes it: here, a library, a warning."""
    usual = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = VisibleStream(usual[0]), VisibleStream(usual[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = usual
