"""Probation of a user's script: its function takes a trial, its command can be started."""

import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.config.registry import load
from sweeper.errors import PluginError, shown

_PROGRAM_FILE = re.compile(r"[^-{}].*\.(py|sh|awk|js|mjs|jl|r|R|pl|rb|lua|php|ipynb)")
"""Arguments that seem to be the file of a program."""


def function_answers(sweep: Sweep, place: str) -> Iterator[dict[str, str]]:
    """Yield the name of the function of a sweep, and what is wrong with it. Imports its module."""
    if sweep.trial is None:
        return
    where = f"{place}: trial: {sweep.trial}"
    yield {"trying": where}
    try:
        function = load(sweep.trial)
    except PluginError as error:
        yield {"problem": f"{where}: {str(error).removeprefix(f'{sweep.trial}: ')}"}
        return
    if problem := function_problem(function):
        yield {"problem": f"{where}: {problem}"}


def function_problem(function: Any) -> str:
    """Return what is wrong with a function that should train a trial; empty if nothing is."""
    if not callable(function):
        return f"must be a function of one argument, the trial, got {shown(function)}"
    code = inspect.unwrap(function)
    if inspect.iscoroutinefunction(code):
        return "must be a plain function, and is async"
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        return "must return what it measured, and yields instead"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # written in C: only a call can tell
    try:
        signature.bind(object())
    except TypeError:
        taken = signature.replace(return_annotation=signature.empty)
        return f"must take one argument, the trial, and takes {taken}"
    return ""


def command_problems(sweep: Sweep, place: str) -> list[str]:
    """Return what is wrong with the command of a sweep: its program is not here."""
    program = (sweep.command or ("{",))[0]
    if "{" in program or shutil.which(program):
        return []
    path = Path(program)
    if path.name == program:
        text = "no such program on this machine"
    elif path.is_file():
        text = "cannot be executed: chmod +x makes it so"
    else:
        text = "no such file" if not path.exists() else "must be a file, and is none"
    return [f"{place}: command: {shown(program)}: {text}"]


def command_oddities(sweep: Sweep) -> list[str]:
    """Return files of a program that a command names, and that are not here."""
    return [
        f"command: {shown(argument)}: no such file in this folder, where workers look for it"
        for argument in (sweep.command or ())[1:]
        if _PROGRAM_FILE.fullmatch(argument) and not Path(argument).exists()
    ]
