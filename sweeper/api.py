"""Python interface for scripts and notebooks: `run` a study, read, compare and check its results.

Storage is a URL; unless given it is SWEEPER_STORAGE, or sweeper.db in the current folder. Errors
are SweeperErrors, one line for each thing to mend; notebooks show that line alone.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, get_args

from sweeper.errors import InputError, choices
from sweeper.settings import ARTIFACTS_VARIABLE

if TYPE_CHECKING:
    from datetime import datetime

    from torch import nn

    from sweeper.analysis.confirmation import ConfirmedConfig
    from sweeper.config import Sweep
    from sweeper.config.study_changes import StudyChange
    from sweeper.operations.sweep_fronts import SweepFront, SweepFronts
    from sweeper.operations.verify import Verification
    from sweeper.store import Store
    from sweeper.trainers.pack_size import PackSize
    from sweeper.types import Accuracy, SizeMeasure, SweepStatus, Track

Outcome = Literal["new", "resumed", "extended"]
On = Literal["local", "ray"]


class LaunchOptions(TypedDict, total=False):
    """Options of `launch`, which `confirm` takes too."""

    on: On
    workers: int | None
    cpus: float | None
    gpus: float | None
    address: str | None
    device: str
    pack: "PackSize"
    data: str | Path | None
    trials: str | Path | None
    artifacts: str | None
    progress: bool | None
    until: "datetime | str | None"
    mirrors: Sequence[str] | None
    on_start: "Callable[[Outcome, SweepStatus], None] | None"
    on_status: "Callable[[SweepStatus], None] | None"
    on_note: Callable[[str], None] | None
    on_wait: Callable[[str], None] | None


def run(
    study: "Sweep | Mapping[str, Any] | str | Path",
    storage: str | None = None,
    *,
    workers: int | None = None,
    device: str = "auto",
    pack: "PackSize" = "auto",
    data: str | Path | None = None,
    extend: bool = False,
    changes: Mapping[str, Any] | None = None,
    until: "datetime | str | None" = None,
    progress: bool | None = None,
    on_start: "Callable[[Outcome, SweepStatus], None] | None" = None,
    on_status: "Callable[[SweepStatus], None] | None" = None,
) -> "SweepFronts":
    """Run a sweep to its end, or on from where it stopped; returns the front of every arm.

    `study` is the path of a study file, its keys as a dict, or a `Sweep`; `changes` are other
    values of its keys, such as `{"search.trials": 48}`. The budget is exact: what is on record
    already is not run again. Worker processes are started here and ended here: one for each GPU,
    else for each core, unless `workers` says how many; before `until`, a datetime or a time such as
    "18:00", they leave, and the next call goes on. Data, formulas and networks of your own are
    tried before anything is registered. A bar shows the `progress`, unless it is False or nobody
    looks. Raises SpecError, InputError, DigestError, StorageError, TrainingError.

    >>> fronts = run("study.yaml")  # all of its trials are on record here
    >>> fronts
    <SweepFronts tiny: dense, l1>
    >>> fronts["l1"].at(0.99) is None  # no network of at least 99 %
    True
    >>> run({"name": "mine", "dataset": "digit", "model": "mlp(8)", "training": {"epochs": 1},
    ...      "search": {"trials": 3}, "arms": {"dense": {}}})
    Traceback (most recent call last):
    sweeper.errors.SpecError: mine: dataset: no such dataset: got 'digit'; ... 'digits'?
    """
    return launch(
        study,
        storage,
        workers=workers,
        device=device,
        pack=pack,
        data=data,
        extend=extend,
        changes=changes,
        until=until,
        progress=progress,
        on_start=on_start,
        on_status=on_status,
    )


def launch(
    study: "Sweep | Mapping[str, Any] | str | Path",
    storage: str | None = None,
    *,
    extend: bool = False,
    changes: "Mapping[str, Any] | Sequence[StudyChange] | None" = None,
    **options: Unpack[LaunchOptions],
) -> "SweepFronts":
    """Run a sweep as `run` does, with workers on this machine or `on="ray"`, on a cluster.

    A worker takes `cpus` cores and `gpus` GPUs, numbers or fractions of one, that of a script what
    its file says unless told; there are as many as there is room for, unless `workers` says how
    many. `address` is that of a cluster, by which
    Ray is not started here. `on_note` is told in one line what the workers wait for, and what
    became of the examples of a dataset of your own; `on_wait` before that what is tried, if it
    takes long. `artifacts` is where the networks of a confirmation and the checkpoints of scripts
    are kept, a folder or a bucket; `trials` a folder for all files of scripts. `mirrors` are other
    trackers that get each trial as it finishes, such as `["mlflow"]`, else those of
    SWEEPER_MIRRORS.

    >>> launch("study.yaml", workers=1, progress=False)
    <SweepFronts tiny: dense, l1>
    """
    from sweeper.operations.study_run import RunOptions, run_study

    return run_study(study, storage, RunOptions(extend=extend, changes=changes or (), **options))


def confirm(
    name: str, storage: str | None = None, *, seeds: int = 5, **options: Unpack[LaunchOptions]
) -> "list[ConfirmedConfig]":
    """Train the best configurations of a finished sweep again, with fresh seeds.

    Of each repeat of each arm the best on validation within each size of `targets.nonzero`. Goes
    on where it stopped; more seeds than before are added, and what a search chose that went on
    with further arms or repeats. `options` are those of `launch`. Raises InputError while the
    search is not finished, or if it went on with more trials since it was confirmed.

    >>> confirmed = confirm("tiny", seeds=2, artifacts="networks")
    >>> sorted({(config.arm, len(config.records)) for config in confirmed})
    [('dense', 2), ('l1', 2)]
    """
    from sweeper.operations.study_run import RunOptions, confirm_sweep

    return confirm_sweep(name, storage, seeds, RunOptions(**options))


def front(
    name: str,
    arm: str = "",
    storage: str | None = None,
    *,
    track: "Track | None" = None,
    by: "Accuracy | None" = None,
) -> "SweepFront":
    """Return the front of one arm of a sweep, or of all its arms together if none is named.

    `track` and `by` are what the study file says unless given. Raises UnknownSweepError, and
    InputError for another arm, track or accuracy.

    >>> network = front("tiny", "l1")[0]
    >>> network.nonzero < network.total
    True
    >>> front("tiny", "l1").at(97)
    Traceback (most recent call last):
    sweeper.errors.InputError: accuracy: must be a share from 0 to 1, got 97; did you mean 0.97?
    >>> figure = front("tiny", "l1").plot()  # a Plotly figure, which a notebook shows
    """
    from sweeper.operations.sweep_fronts import SweepFront
    from sweeper.types import Accuracy, Track

    for key, value, allowed in (("track", track, Track), ("by", by, Accuracy)):
        if value is not None and value not in get_args(allowed):
            raise InputError(f"{key}: {choices(value, get_args(allowed))}")
    with _open(storage) as store:
        return SweepFront.of_record(store.sweep_record(name), arm, track=track, by=by)


def compare(
    *names: str,
    arms: Sequence[str] = (),
    storage: str | None = None,
    track: "Track | None" = None,
    size: "SizeMeasure" = "nonzero",
) -> "SweepFronts":
    """Return the fronts of several sweeps, of all arms or of those named, for one figure.

    Arms are called `sweep/arm`. One that is named in `arms` is taken of every sweep that has it, or
    of one as `sweep/arm`. What is unequal between the sweeps stands in `.notes`; sweeps of other
    data, another measure or other selection are refused. Raises UnknownSweepError, InputError.

    >>> fronts = compare("tiny", "longer", arms=["l1"])
    >>> fronts
    <SweepFronts tiny, longer: tiny/l1, longer/l1>
    >>> fronts.notes
    ('training.epochs is 1 in tiny, 2 in longer.',)
    >>> fronts.save("fronts.svg").name
    'fronts.svg'
    """
    from sweeper.operations.sweep_fronts import SweepFronts
    from sweeper.types import SizeMeasure, Track

    for key, value, allowed in (("track", track, Track), ("size", size, SizeMeasure)):
        if value is not None and value not in get_args(allowed):
            raise InputError(f"{key}: {choices(value, get_args(allowed))}")
    with _open(storage) as store:
        records = [store.sweep_record(name) for name in names]
    return SweepFronts.compared(records, arms=arms, track=track, size=size)


def report(
    name: str,
    storage: str | None = None,
    *,
    out: str | Path | None = None,
    artifacts: str | None = None,
) -> Path:
    """Write one HTML file that says what a sweep found, works offline, and return its path.

    It is `out`, or sweeps/NAME/report.html. With `artifacts` it pictures confirmed networks. Raises
    UnknownSweepError, and InputError for a confirmation or a place that cannot be written to.

    >>> report("tiny", out="report.html").stat().st_size > 100_000
    True
    """
    from sweeper.operations.sweep_report import report_path, reported_record
    from sweeper.reports import html_page

    with _open(storage) as store:
        record = reported_record(store, name, _artifacts(artifacts))
    return html_page.write_report(out or report_path(name), record)


def verify(
    name: str,
    storage: str | None = None,
    *,
    artifacts: str | None = None,
    data: str | Path | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> "Verification":
    """Count and evaluate confirmed networks again, from their weights that `artifacts` holds.

    `.passed` tells whether all that were kept are as on record. Raises InputError if nothing is
    confirmed, or no place of artifacts is named here or by SWEEPER_ARTIFACTS.

    >>> verification = verify("tiny", artifacts="networks")
    >>> verification.passed, len(verification.differing)
    (True, 0)
    """
    from sweeper.operations.progress_lines import counting_bar
    from sweeper.operations.verify import verify as verify_weights

    place = _artifacts(artifacts)
    if place is None:
        raise InputError("artifacts: say where confirm(..., artifacts=PLACE) has put them")
    folder = None if data is None else Path(data)
    with _open(storage, waits=True) as store, counting_bar(name, progress) as on_network:
        return verify_weights(
            name, store, place, folder=folder, device=device, on_network=on_network
        )


def load_network(
    place: str | Path,
    storage: str | None = None,
    *,
    arm: str = "",
    at: int | None = None,
    trial: str | None = None,
    artifacts: str | None = None,
    data: str | Path | None = None,
    normalise: bool = False,
    trust: bool = False,
) -> "nn.Module":
    """Return a trained network as a module in evaluation mode, on the CPU.

    Of a .safetensors file that `sweeper network` or a worker wrote; or, by the name of a sweep, the
    best of its confirmed networks that `artifacts` holds, as `sweeper network` chooses it: of an
    arm, within `at` nonzero parameters, or that of a trial, STUDY#NUMBER. With `normalise` its
    first layer standardises, so that it takes raw examples [batch, *shape] of any number type.
    `data` is the folder of datasets, which old results need for that.

    A file may be anybody's: it names the code that builds a network which is not built in, and
    `trust` lets that code be called. Raises InputError, UnknownSweepError, PluginError.

    >>> import torch
    >>> network = load_network("tiny", artifacts="networks", arm="l1", normalise=True)
    >>> network(torch.zeros(2, 1, 8, 8)).shape  # [batch, class]
    torch.Size([2, 10])
    """
    from sweeper.operations.loaded_network import module_of_file, module_of_sweep

    if Path(place).suffix == ".safetensors":
        if arm or trial or at is not None:
            raise InputError(f"{place}: is one network: it goes together with no arm, at or trial")
        return module_of_file(Path(place), normalise=normalise, trust=trust)
    if isinstance(place, Path) or Path(place).suffix in {".pt2", ".onnx"}:
        others = "torch.export.load reads a .pt2 file, onnxruntime an .onnx file"
        raise InputError(f"{place}: must be the name of a sweep or a .safetensors file; {others}")
    with _open(storage) as store:
        return module_of_sweep(
            store,
            place,
            _artifacts(artifacts),
            arm=arm,
            at=at,
            trial=trial,
            folder=None if data is None else Path(data),
            normalise=normalise,
        )


def _artifacts(place: str | None) -> str | None:
    """Return the place of saved networks: that one, else SWEEPER_ARTIFACTS."""
    return place or os.environ.get(ARTIFACTS_VARIABLE) or None


@contextmanager
def _open(storage: str | None, *, waits: bool = False) -> "Iterator[Store]":
    """Open a storage whose tables are there. Raises StorageError."""
    from sweeper.operations.study_run import opened

    with opened(storage, waits=waits) as store:
        store.check()
        yield store
