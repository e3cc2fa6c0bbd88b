"""Placement of workers: the cores, GPUs and memory that a trial of a script has to itself."""

from typing import Any

import pytest

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.worker.launch.machine import Machine, WorkerResources
from sweeper.worker.launch.placement import (
    WorkerPlace,
    script_places,
    worker_places,
    worker_share,
    worker_variables,
)

GIB = 2**30
CPUS, GPUS = Machine(6, 0, 10 * GIB), Machine(64, 4, 100 * GIB)
NAMED = Machine(8, 3, None, ("2", "0", "5"))


def visible(places: tuple[WorkerPlace, ...]) -> list[str]:
    """Return the GPUs that each worker sees."""
    return [place.variables["CUDA_VISIBLE_DEVICES"] for place in places]


@pytest.mark.parametrize(
    ("machine", "share", "device", "each"),
    [
        (CPUS, WorkerResources(), "auto", [""] * 6),
        (CPUS, WorkerResources(4), "auto", [""]),
        (CPUS, WorkerResources(1, 0, 4 * GIB), "cpu", [""] * 2),
        (Machine(6, 0, None), WorkerResources(1, 0, 4 * GIB), "auto", [""] * 6),
        (GPUS, WorkerResources(), "auto", [""] * 20),  # it has asked for none
        (GPUS, WorkerResources(1, 1), "auto", ["0", "1", "2", "3"]),
        (GPUS, WorkerResources(20, 1), "auto", ["0", "1", "2"]),
        (GPUS, WorkerResources(1, 0.5), "auto", ["0", "1", "2", "3", "0", "1", "2", "3"]),
        (GPUS, WorkerResources(1, 0.3, 20 * GIB), "auto", ["0", "1", "2", "3", "0"]),
        (GPUS, WorkerResources(1, 2), "auto", ["0,1", "2,3"]),
        (GPUS, WorkerResources(1, 3), "cuda", ["0,1,2"]),
        (GPUS, WorkerResources(1, 4), "auto", ["0,1,2,3"]),
        (GPUS, WorkerResources(), "cuda", ["0", "1", "2", "3"]),  # who names one wants one
        (GPUS, WorkerResources(1, 0.5), "cuda:2", ["2", "2"]),
        (NAMED, WorkerResources(1, 1), "auto", ["2", "0", "5"]),
        (NAMED, WorkerResources(1, 1), "cuda:1", ["0"]),
        (NAMED, WorkerResources(1, 2), "auto", ["2,0"]),
    ],
)
def test_each_worker_sees_exactly_its_part_of_the_gpus(
    machine: Machine, share: WorkerResources, device: str, each: list[str]
) -> None:
    places = script_places(machine, share, device, most=20)
    assert visible(places) == each
    assert {place.device for place in places} == {"cuda" if each[0] else "cpu"}


def test_a_number_of_workers_counts_more_than_the_room() -> None:
    assert visible(script_places(GPUS, WorkerResources(1, 2), workers=3, most=1)) == [
        "0,1", "2,3", "0,1",
    ]  # fmt: skip
    assert len(script_places(CPUS, WorkerResources(4), workers=5, most=9)) == 5


def test_threads_are_as_many_as_a_trial_has_cores() -> None:
    for cpus, threads in ((0.5, "1"), (1, "1"), (4, "4"), (2.9, "2")):
        place = script_places(GPUS, WorkerResources(cpus, 1), most=1)[0]
        assert place.variables["OMP_NUM_THREADS"] == threads
        assert place.variables["MKL_NUM_THREADS"] == threads


@pytest.mark.parametrize(
    ("machine", "share", "device", "line"),
    [
        (CPUS, WorkerResources(1, 2), "auto",
         "resources: a trial needs 2 GPUs, this machine has none"),
        (CPUS, WorkerResources(1, 1), "auto",
         "resources: a trial needs 1 GPU, this machine has none"),
        (GPUS, WorkerResources(1, 8), "auto",
         "resources: a trial needs 8 GPUs, this machine has 4"),
        (CPUS, WorkerResources(16), "auto",
         "resources: a trial needs 16 CPUs, this machine has 6"),
        (CPUS, WorkerResources(1, 0, 64 * GIB), "auto",
         "resources: a trial needs 64 GiB of memory, 10 GiB are left on this machine"),
        (CPUS, WorkerResources(16, 0.5), "auto",
         "resources: a trial needs 16 CPUs, this machine has 6; 0.5 GPUs, this machine has none"),
        (GPUS, WorkerResources(1, 1), "cpu", "gpus: 1 do not go together with device cpu"),
        (GPUS, WorkerResources(1, 2), "cuda:0", "gpus: 2 do not go together with device cuda:0"),
        (GPUS, WorkerResources(1, 1), "cuda:9",
         "no such device: got 'cuda:9'; here: auto, cpu, cuda, cuda:0, cuda:1, cuda:2, cuda:3"),
        (GPUS, WorkerResources(1, 1), "gpu",
         "no such device: got 'gpu'; allowed: auto, cpu, cuda, cuda:0, cuda:1, ...; did you mean "
         "'cuda'?"),
    ],
)  # fmt: skip
def test_where_no_trial_fits_one_line_says_what_is_too_little(
    machine: Machine, share: WorkerResources, device: str, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        script_places(machine, share, device, most=9)
    assert str(caught.value) == line


@pytest.mark.parametrize("gpus", [1.5, -1, float("nan"), float("inf")])
def test_gpus_are_a_fraction_or_a_whole_number(gpus: float) -> None:
    with pytest.raises(InputError, match=r"^gpus: must be 0, a fraction of one or a whole number"):
        WorkerResources(1, gpus)


def script(**keys: Any) -> Sweep:
    raw = {"name": "mine", "trial": "my.training:run", "search": {"trials": 3}, "arms": {"a": {}}}
    return Sweep.model_validate(raw | keys)


def test_what_the_file_says_counts_unless_the_command_says_otherwise() -> None:
    sweep = script(resources={"cpus": 2, "gpus": 2, "memory": "8GiB"})
    assert worker_share(sweep) == WorkerResources(2, 2, 8 * GIB)
    assert worker_share(sweep, cpus=1, gpus=0) == WorkerResources(1, 0, 8 * GIB)
    assert visible(worker_places(sweep, GPUS)) == ["0,1", "2,3"]
    assert visible(worker_places(sweep, GPUS, gpus=1)) == ["0", "1", "2"]  # as many as trials
    assert worker_variables(sweep, worker_share(sweep)) == {
        "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2",
    }  # fmt: skip
    assert worker_variables(sweep, worker_share(sweep, gpus=0))["CUDA_VISIBLE_DEVICES"] == ""
