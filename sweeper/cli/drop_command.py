"""The command `drop`: trials on record that are to count no more, or again."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import Name, Storage, console, open_store, table
from sweeper.errors import InputError, UnknownSweepError, pluralize, shown
from sweeper.settings import DEFAULT_STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sweeper.types import DroppedTrial

LONGEST = 500
"""Characters of a reason."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(drop)


def drop(
    name: Name,
    trial: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRIAL",
            help="arm/repeat/slot, as pages show it, or the number in Optuna's study of --arm "
            "and --repeat; may be repeated.  [default: list what is dropped]",
            show_default=False,
        ),
    ] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The reason, shown wherever it is missing.")
    ] = None,
    arm: Annotated[str | None, typer.Option(metavar="ARM", help="Arm of a numbered trial.")] = None,
    repeat: Annotated[int | None, typer.Option(help="Repeat of a numbered trial.")] = None,
    density: Annotated[
        float | None,
        typer.Option(help="Of a ladder: the network of this density alone, of each seed."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Have dropped ones count again.")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Leave trials out of fronts, tables, comparisons, reports and what `confirm` chooses.

    They stay on record, the report names them, and `--undo` takes it back. The search is not told:
    what a sampler learned from a trial it has learned, so that its proposals still follow from what
    is on record.
    """
    from sweeper.operations.trial_names import named_trial

    with open_store(storage) as store:
        sweep, hand = store.sweep(name), store.interventions
        if not trial:
            if why is not None or undo or arm or repeat is not None or density is not None:
                raise InputError("--trial: say which trial, such as l1/0/17")
            _list(name, hand.dropped(name))
            return
        reason = _reason(why, undo=undo)
        named = [
            named_trial(store, sweep, text, arm=arm, repeat=repeat, density=density)
            for text in trial
        ]
        changed = hand.take_back(name, named) if undo else hand.drop(name, named, reason)
        if changed:
            from sweeper.lifecycle import publish

            with suppress(UnknownSweepError):  # its studies were deleted in Optuna's dashboard
                publish(store, name, force=True)
        dropped = hand.dropped(name)
    for each in dict.fromkeys(named):
        what = "/".join(map(str, each.place))
        if each.networks is not None:
            what += f", density {density:g}"
        did = "counts again" if undo else "dropped"
        if each not in changed:
            did = "was not dropped" if undo else "was dropped already"
        typer.echo(f"{name}: {what}: {did}")
    left = f"{pluralize(len(dropped), 'trial')} {'is' if len(dropped) == 1 else 'are'} dropped"
    typer.echo(f"{name}: {left}; all stay on record")


def _reason(why: str | None, *, undo: bool) -> str:
    """Return the reason of a drop. Raises InputError for none, or one that no line can show."""
    if undo:
        if why is not None:
            raise InputError("--undo, --why: give one of them, not both")
        return ""
    text = (why or "").strip()
    if not text:
        raise InputError('--why: say why, such as --why "the machine overheated"')
    if len(text) > LONGEST or not text.isprintable():
        allowed = f"one line of at most {LONGEST} characters"
        raise InputError(f"--why: must be {allowed}, got {shown(text)}")
    return text


def _list(name: str, dropped: "Sequence[DroppedTrial]") -> None:
    if not dropped:
        typer.echo(f"{name}: nothing is dropped")
        return
    lines = table("dropped", "on", "why")
    for trial in dropped:
        lines.add_row(trial.name, trial.day, trial.why)
    console().print(lines)
