"""Answer of a sweep for the terminal: of its confirmation, or what one takes."""

from typing import TYPE_CHECKING

from sweeper.cli.common import console, warn

if TYPE_CHECKING:
    from sweeper.analysis.sweep_record import SweepRecord


def print_answer(record: "SweepRecord") -> None:
    """Print the answer of a sweep, or the reasons and commands where there is none."""
    from sweeper.analysis.missing_evidence import missing_confirmation

    for problem in record.problems:
        warn(f"arms are not ranked: {problem}")
    if record.problems:
        return
    terminal, confirmation = console(), record.confirmation
    missing = confirmation.missing if confirmation else None
    if confirmation is None:
        missing = missing_confirmation(record.sweep, record.status)
    if missing is None:
        terminal.print(confirmation.answer if confirmation else "")
        return
    terminal.print(f"{missing.reason}. For one:")
    for change in missing.changes:
        terminal.print(f"  {change} in the study file", soft_wrap=True)
    for command in missing.commands:
        terminal.print(f"  {command}", soft_wrap=True)
