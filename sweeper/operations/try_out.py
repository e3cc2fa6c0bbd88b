"""Trial run of a user's data, formulas, methods, networks, scripts, before they are registered.

Each is loaded or run once, small, in another process: `check` loads no torch, and what ends that
process (`os._exit`, a crash of a library) does not end the command.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from sweeper.config import Sweep
from sweeper.config.dataset import DatasetChoice, DatasetFacts
from sweeper.config.parsing import build
from sweeper.config.registry import FORMULAS, MEASURES, MODELS, load
from sweeper.errors import DataError, InputError, PluginError, SpecError
from sweeper.operations.formula_probation import formula_answers
from sweeper.operations.loss_probation import loss_answers
from sweeper.operations.measured_network import MeasuredNetwork
from sweeper.operations.method_probation import method_answers, outside_methods
from sweeper.operations.script_probation import (
    command_oddities,
    command_problems,
    function_answers,
)
from sweeper.redact import visible

NOTICE_SECONDS = 2.0
"""After which it is said what takes so long."""


@dataclass(frozen=True, slots=True)
class TriedStudy:
    """A study whose parts from outside of the registry work, and what was seen of them."""

    sweep: Sweep
    """With the facts of its dataset."""
    oddities: tuple[str, ...] = ()
    """Of formulas, methods and networks, a line for each."""
    data_notes: tuple[str, ...] = ()
    """What its dataset's examples and labels became on the way, a line for each."""
    network: MeasuredNetwork | None = None
    """Its network, if that is not in the registry and could be run."""


def try_out(
    sweep: Sweep,
    place: str,
    *,
    folder: str | Path | None = None,
    on_wait: Callable[[str], None] = lambda line: None,
) -> TriedStudy:
    """Try the parts of a study that are not in the registry; find out the facts of its dataset.

    `place` is the study file, `folder` that of datasets; `on_wait` is told the name of one that
    takes long. Raises SpecError with a line for each that does not work.
    """
    names = outside(sweep)
    missing = command_problems(sweep, place)
    if not names and missing:
        raise SpecError(missing)
    if not names:
        return TriedStudy(sweep, oddities=tuple(command_oddities(sweep)))
    # -P: a file of the user's, such as token.py, must not take the place of a library's.
    command = [sys.executable, "-P", "-m", "sweeper.operations.try_out"]
    task = {
        "sweep": sweep.model_dump_json(),  # its arms in their order
        "place": place,
        "folder": None if folder is None else str(folder),
        "path": sys.path,
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            try:
                answers, noise = process.communicate(json.dumps(task), NOTICE_SECONDS)
            except subprocess.TimeoutExpired:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                first = names[0] if sweep.is_resolved else f"the dataset {names[0]}"
                on_wait(f"{sweep.name}: trying {first}{more} ...")
                answers, noise = process.communicate()
        except BaseException:
            process.kill()
            raise
    lines = [json.loads(line) for line in answers.splitlines()]
    problems = [*missing, *(line["problem"] for line in lines if "problem" in line)]
    if process.returncode or not any("end" in line for line in lines):
        tried = next((line["trying"] for line in reversed(lines) if "trying" in line), place)
        problems.append(f"{tried}: {_ending(process.returncode, noise)}")
    for digest in (line["teacher"] for line in lines if "teacher" in line):
        raw = sweep.model_dump(mode="json")
        raw["training"]["teacher"]["hash"] = digest
        sweep = cast(Sweep, build(Sweep, raw, place=place))
    for facts in (line["facts"] for line in lines if "facts" in line):
        try:
            sweep = resolved(sweep, DatasetFacts.model_validate(facts), place)
        except SpecError as error:
            problems[:0] = error.problems
    if problems:
        raise SpecError(problems)
    return TriedStudy(
        sweep,
        oddities=(
            *command_oddities(sweep),
            *(line["warning"] for line in lines if "warning" in line),
        ),
        data_notes=tuple(line["note"] for line in lines if "note" in line),
        network=next((MeasuredNetwork(**x["network"]) for x in lines if "network" in x), None),
    )


def resolved(sweep: Sweep, facts: DatasetFacts, place: str) -> Sweep:
    """Return a sweep with the facts of its dataset. Raises SpecError as reading its file does."""
    raw = {**sweep.model_dump(mode="json"), "facts": facts.model_dump(mode="json")}
    return cast(Sweep, build(Sweep, raw, place=place))


def outside(sweep: Sweep) -> list[str]:
    """Return the names of all parts of a sweep that are not in the registry.

    A dataset whose facts are known is left out: whether it is still the same, its workers see.
    """
    dataset = [] if sweep.is_resolved else [sweep.dataset.text]
    terms = [term.penalty for arm in sweep.arms.values() for term in arm.terms]
    formulas = dict.fromkeys(name for name in terms if name not in FORMULAS)
    if sweep.script is not None:
        return [*formulas, *([sweep.trial] if sweep.trial else [])]
    loss = [] if sweep.training.loss.in_registry else [sweep.training.loss.name]
    model = [] if sweep.model.name in MODELS else [sweep.model.name]
    measure = [] if sweep.measure in MEASURES else [sweep.measure]
    teacher = sweep.training.teacher
    unknown = [] if teacher is None or teacher.hash else [teacher.network]
    methods = outside_methods(sweep)
    return [*dataset, *formulas, *methods, *loss, *measure, *unknown, *model]


def _ending(code: int, noise: str) -> str:
    """Return the ending of a process that was cut off, as text."""
    ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    written = [line.strip() for line in noise.splitlines() if line.strip()][-1:]
    return ": ".join(["ends the process that tries it", ending, *written])


def _answers(sweep: Sweep, place: str, folder: str | None) -> Iterator[dict[str, Any]]:
    """Yield the name of each thing that is tried, the problems and warnings, and the facts."""
    data = None
    if not sweep.is_resolved:
        where = f"{place}: dataset: {sweep.dataset.text}"
        yield {"trying": where}
        try:
            data = _loaded(sweep, folder)
        except (DataError, PluginError) as error:
            yield {"problem": _data_problem(str(error), sweep, place)}
        else:
            facts = _facts(data)
            yield {"facts": facts.model_dump(mode="json")}
            yield from ({"note": note} for note in data.notes)
            try:
                sweep = resolved(sweep, facts, place)
            except SpecError:
                data = None  # the other process finds and says the same
    yield from formula_answers(sweep, place)
    if sweep.script is not None:
        yield from function_answers(sweep, place)
        return
    yield from method_answers(sweep, place)
    yield from loss_answers(sweep, place)
    yield from _teacher(sweep, place, folder, data)
    yield from _network(sweep, place, folder, data)


def _network(sweep: Sweep, place: str, folder: str | None, data: Any) -> Iterator[dict[str, Any]]:
    """Yield the problems, warnings, size and speed of the network; `data` is None if not loaded."""
    name = sweep.model.name
    if not sweep.is_resolved or (name in MODELS and data is None):
        return  # networks of the registry are known to work on datasets of the registry
    where = f"{place}: model: {name}"
    yield {"trying": where}
    try:
        if name not in MODELS:
            load(name)  # said before torch and the data are loaded, if it is not there
    except PluginError as error:
        yield {"problem": f"{where}: {str(error).removeprefix(f'{name}: ')}"}
        return
    if name in MODELS and data is not None and not data.train.examples.is_floating_point():
        text = "its examples are whole numbers, for networks of your own with an embedding"
        yield {"problem": f"{where}: takes no token ids: {sweep.dataset.text}: {text}"}
        return
    from sweeper.training.forward_pass import ForwardError
    from sweeper.training.plain_pytorch import compare_with_plain

    real = True
    if data is None:
        try:
            data, real = _examples(sweep, folder)
        except (DataError, PluginError) as error:
            yield {"problem": _data_problem(str(error), sweep, place)}
            return
    try:
        yield from (
            {"warning": f"model: {note}"} for note in compare_with_plain(sweep.recipe(0), data)
        )
        if name not in MODELS:
            network, uncounted = _measured(sweep, data)
            yield {"network": asdict(network)}
            if uncounted:
                text = f"effective parameters are not counted: {uncounted}"
                yield {"warning": f"model: {name}: {text}"}
    except PluginError as error:
        reason = str(error).removeprefix(f"{name}: ")
        if reason.startswith("sparsification."):
            yield {"problem": f"{place}: {reason}"}
        elif real or not isinstance(error, ForwardError):
            yield {"problem": f"{where}: {reason}"}
        else:
            text = f"{reason}; on examples like those of {sweep.dataset.text}, which is not here"
            yield {"warning": f"model: {name}: {text}"}


def _measured(sweep: Sweep, data: Any) -> tuple[MeasuredNetwork, str]:
    """Return size and speed of a network, and why it has no effective parameters, if so."""
    from sweeper.training.parameter_counts import refusal_to_count
    from sweeper.training.stacked_architecture import StackedArchitecture
    from sweeper.training.step_time import step_seconds

    recipe = sweep.recipe(0)
    network = StackedArchitecture.of(recipe, data)
    stack = network.init([0], recipe, data)
    uncounted = refusal_to_count(network, stack)
    if network.prune.dead_biases and uncounted:
        raise PluginError(f"sparsification.prune_dead_biases: {sweep.model.name}: {uncounted}")
    weights = sum(math.prod(shape) for shape in network.rule.shapes.values())
    seconds = step_seconds(network, recipe, data)
    return MeasuredNetwork(network.total, weights, seconds), uncounted


def _teacher(sweep: Sweep, place: str, folder: str | None, data: Any) -> Iterator[dict[str, str]]:
    """Yield the problems or the hash of the teacher; `data` is None if not loaded."""
    config = sweep.recipe(0).teacher
    if config is None or not sweep.is_resolved:
        return
    from sweeper.training.teacher import try_out as try_teacher

    where = f"{place}: training.teacher: {config.network}"
    yield {"trying": where}
    try:
        examples = _examples(sweep, folder)[0] if data is None else data
        yield {"teacher": try_teacher(config, examples)}
    except (DataError, InputError, PluginError) as error:
        text = str(error).removeprefix("training.teacher: ").removeprefix(f"{config.network}: ")
        yield {"problem": f"{where}: {text}"}


def _loaded(sweep: Sweep, folder: str | None) -> Any:
    """Return the dataset of a sweep. Raises DataError, PluginError."""
    from sweeper.training import datasets

    return datasets.load_for(sweep.recipe(0), folder)


def _facts(data: Any) -> DatasetFacts:
    return DatasetFacts(
        shape=data.shape,
        classes=data.classes,
        train=len(data.train),
        validation=len(data.validation),
        test=len(data.test),
        hash=data.hash,
        labels=tuple(map(visible, data.labels)),
        features=tuple(map(visible, data.features)),
        values=data.has_values,
    )


def _data_problem(text: str, sweep: Sweep, place: str) -> str:
    """Return what is wrong with data as a line about the file, with the key that it begins with."""
    key = text.partition(":")[0]
    if key.startswith("split."):
        return f"{place}: {text}"
    if key in DatasetChoice.model_fields:
        return f"{place}: dataset.{text}"
    name = sweep.dataset.text
    return f"{place}: dataset: {text if Path(name).name in text else f'{name}: {text}'}"


def _examples(sweep: Sweep, folder: str | None) -> tuple[Any, bool]:
    """Return the dataset of a sweep, or examples like those of one that is not on this machine.

    Raises DataError, PluginError for one that is not in the registry.
    """
    from sweeper.training import datasets

    if not sweep.dataset.in_registry:
        return _loaded(sweep, folder), True
    if datasets.is_here(sweep.dataset.name, folder):
        with suppress(DataError):  # it is said where the dataset is needed
            return _loaded(sweep, folder), True
    return datasets.images_like(sweep.dataset.name), False


def _main() -> None:
    """Read a task from standard input, write an answer a line to standard output."""
    task = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w") as answers, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what a user's module prints is no answer
        sys.path[:] = task["path"]
        sweep = Sweep.from_json(task["sweep"])
        for answer in _answers(sweep, task["place"], task["folder"]):
            print(json.dumps(answer), file=answers, flush=True)
        print(json.dumps({"end": ""}), file=answers)


if __name__ == "__main__":
    _main()
