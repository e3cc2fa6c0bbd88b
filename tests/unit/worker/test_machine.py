"""The machine as a worker sees it: memory, processors, GPUs, and names of devices."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sweeper.errors import InputError
from sweeper.trainers import cgroups, devices
from sweeper.worker.launch.machine import (
    MAX_CPU_WORKERS,
    Machine,
    WorkerResources,
    cores,
    visible_gpus,
)

Tree = Callable[[dict[str, str]], Path]
GIB = 2**30
NO_LIMIT_V1 = "9223372036854771712"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files of /proc and /sys under a root of their own; returns the root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return write


def v2(path: str, **files: object) -> dict[str, str]:
    """Return the files of one group of cgroup v2; `memory_max` stands for memory.max."""
    folder = f"sys/fs/cgroup{path.rstrip('/')}"
    return {f"{folder}/{name.replace('_', '.', 1)}": str(text) for name, text in files.items()}


def v1(controller: str, path: str, **files: object) -> dict[str, str]:
    """Return the files of one group of a controller of cgroup v1."""
    return v2(f"/{controller}{path}", **files)


def meminfo(available: object = 8 * GIB // 1024) -> dict[str, str]:
    text = (
        f"MemTotal:       16777216 kB\nMemFree:          102400 kB\nMemAvailable:   {available} kB"
    )
    return {"proc/meminfo": text}


def inside(*lines: str) -> dict[str, str]:
    return {"proc/self/cgroup": "\n".join(lines)}


V1_LIMIT = {
    "memory_limit_in_bytes": 3 * GIB,
    "memory_usage_in_bytes": 2 * GIB,
    "memory_stat": f"cache 5\ninactive_file 7\ntotal_inactive_file {GIB // 2}",
}


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        (meminfo(), 8 * GIB),
        (meminfo(0), 0),
        (meminfo() | inside("0::/"), 8 * GIB),
        # The cache of files gives way.
        (
            meminfo()
            | inside("0::/a")
            | v2("/a", memory_max=2 * GIB, memory_current=GIB, memory_stat="inactive_file 4096"),
            GIB + 4096,
        ),
        # Whatever is over the limit already, nothing is less than nothing.
        (inside("0::/a") | v2("/a", memory_max=GIB, memory_current=2 * GIB), 0),
        (meminfo() | inside("0::/a") | v2("/a", memory_max="max", memory_current=GIB), 8 * GIB),
        (inside("0::/a") | v2("/a", memory_max="max", memory_current=GIB), None),
        # The narrowest group of those around it counts: here the one in the middle.
        (
            meminfo()
            | inside("0::/a/b/c")
            | v2("/a", memory_max=6 * GIB, memory_current=2 * GIB)
            | v2("/a/b", memory_max=4 * GIB, memory_current=GIB)
            | v2("/a/b/c", memory_max="max", memory_current=GIB),
            3 * GIB,
        ),
        # In a container the group's own path is not there; a sibling's does not count.
        (
            meminfo()
            | inside("0::/docker/1234")
            | v2("/", memory_max=5 * GIB, memory_current=GIB)
            | v2("/docker/99", memory_max=GIB, memory_current=GIB),
            4 * GIB,
        ),
        (meminfo() | inside("0::/a") | v2("/a", memory_max=2 * GIB), 8 * GIB),
        (meminfo() | inside("4:memory:/a") | v1("memory", "/a", **V1_LIMIT), GIB + GIB // 2),
        (meminfo() | inside("4:memory:/gone") | v1("memory", "/", **V1_LIMIT), GIB + GIB // 2),
        (meminfo() | inside("4:hugetlb,memory:/a") | v1("memory", "/a", **V1_LIMIT), 3 * GIB // 2),
        (meminfo() | inside("4:cpu:/a") | v1("memory", "/a", **V1_LIMIT), 8 * GIB),
        (
            inside("4:memory:/", "0::/")
            | v1("memory", "/", memory_limit_in_bytes=NO_LIMIT_V1, memory_usage_in_bytes=GIB),
            None,
        ),
        (
            meminfo()
            | inside("4:memory:/")
            | v1("memory", "/", memory_limit_in_bytes=-1, memory_usage_in_bytes=GIB),
            8 * GIB,
        ),
    ],
)  # fmt: skip
def test_memory_is_what_the_narrowest_limit_leaves(
    tree: Tree, files: dict[str, str], left: int | None
) -> None:
    assert cgroups.memory(tree(files)) == left


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (inside("0::/a"), None),
        (inside("0::/a") | v2("/a", cpu_max="max 100000"), None),
        (inside("0::/a") | v2("/a", cpu_max="150000 100000"), 1.5),
        (
            inside("0::/a/b")
            | v2("/", cpu_max="400000 100000")
            | v2("/a", cpu_max="50000 100000")
            | v2("/a/b", cpu_max="max 100000"),
            0.5,
        ),
        (
            inside("3:cpu,cpuacct:/a")
            | v1("cpu", "/a", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100000)
            | v1("cpu", "/", cpu_cfs_quota_us=300000, cpu_cfs_period_us=100000),
            3.0,
        ),
        (inside("3:cpu:/a") | v1("cpu", "/a", cpu_cfs_quota_us=-1, cpu_cfs_period_us=1), None),
        (inside("3:cpu:/a") | v1("cpu", "/a", cpu_cfs_quota_us=100000), None),
        (inside("3:cpuset:/a") | v1("cpu", "/a", cpu_cfs_quota_us=1, cpu_cfs_period_us=1), None),
    ],
)
def test_processors_are_those_of_the_narrowest_quota(
    tree: Tree, files: dict[str, str], quota: float | None
) -> None:
    assert cgroups.processors(tree(files)) == quota


GARBAGE = ["", "x", "1 2 3", "\n\n", "-", "1.5", "max", "0 0", "5 0", "inactive_file", "é"]
NONSENSE: dict[str, Callable[[str], dict[str, str]]] = {
    "v2": lambda text: v2("/a", memory_max=text, memory_current=text, cpu_max=text),
    "v2 used": lambda text: v2("/a", memory_max=GIB, memory_current=text),
    "v1": lambda text: v1("memory", "/b", memory_limit_in_bytes=text, memory_usage_in_bytes=GIB),
    "v1 quota": lambda text: v1("cpu", "/b", cpu_cfs_quota_us=text, cpu_cfs_period_us=text),
    "v1 period": lambda text: v1("cpu", "/b", cpu_cfs_quota_us=5, cpu_cfs_period_us=text),
}


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("kind", NONSENSE)
def test_limits_that_make_no_sense_are_left_out(tree: Tree, kind: str, text: str) -> None:
    groups = inside("0::/a", "4:memory:/b", "3:cpu:/b")
    root = tree(meminfo() | groups | NONSENSE[kind](text))
    assert (cgroups.memory(root), cgroups.processors(root)) == (8 * GIB, None)


@pytest.mark.parametrize("text", [text for text in GARBAGE if not text[:2].strip().isdecimal()])
def test_what_the_system_says_of_itself_may_make_no_sense(tree: Tree, text: str) -> None:
    root = tree(inside(text, "0::/a") | meminfo(text) | v2("/a", cpu_max="3 2"))
    assert (cgroups.memory(root), cgroups.processors(root)) == (None, 1.5)
    tree(v2("/a", memory_max=2 * GIB, memory_current=GIB, memory_stat=text))
    assert cgroups.memory(root) == GIB


def test_bytes_that_are_no_text_and_folders_in_place_of_files_are_left_out(tree: Tree) -> None:
    root = tree(meminfo() | inside("0::/a") | v2("/a", memory_max=GIB))
    (root / "sys/fs/cgroup/a/cpu.max").write_bytes(b"\xff\xfe 100000")
    (root / "sys/fs/cgroup/a/memory.current").mkdir()
    assert (cgroups.memory(root), cgroups.processors(root)) == (8 * GIB, None)


def test_this_machine_has_some_memory_left() -> None:
    if not Path("/proc/meminfo").exists():
        pytest.skip("needs Linux's /proc")
    left = cgroups.memory()
    assert left is not None
    assert 0 < left <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_cores_are_those_allowed_or_a_quota_rounded_up(tree: Tree) -> None:
    allowed = cores(tree({}))
    assert 1 <= allowed <= (os.cpu_count() or 1)
    for quota, wanted in ((1, 1), (99_999, 1), (100_001, min(2, allowed)), (10**9, allowed)):
        root = tree(inside("0::/") | v2("/", cpu_max=f"{quota} 100000"))
        assert cores(root) == wanted


def nodes(root: Path, *names: str) -> Path:
    """Make the files that a driver makes."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], 0),
        (["dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia-caps/nvidia-cap1"], 0),
        (["dev/nvidiactl", "dev/nvidia0", "dev/nvidia1", "dev/nvidia10"], 3),
        (["dev/nvidia3"], 1),
        (["proc/driver/nvidia/gpus/0000:01:00.0", "proc/driver/nvidia/gpus/0000:02:00.0"], 2),
        (["dev/nvidia0", "proc/driver/nvidia/gpus/a", "proc/driver/nvidia/gpus/b"], 1),
    ],
)
def test_gpus_are_counted_by_the_files_of_their_driver(
    tmp_path: Path, names: list[str], found: int
) -> None:
    assert len(visible_gpus(nodes(tmp_path, *names), {})) == found


VISIBLE = {
    "": 0,
    " ": 0,
    "-1": 0,
    "0": 1,
    "1": 1,
    "0,1": 2,
    "2,0,1": 3,
    " 1 , 0 ": 2,
    "0,1,2,3": 3,  # there is no 3
    "3,0": 0,
    "0,-1,1": 1,
    "0,,1": 1,
    "0,x,1": 1,
    "x": 0,
    "0,0": 0,
    "0,1,0": 0,
    "0,3,0": 0,
    "1gpu2,2ampere": 2,
    "GPU-5b": 1,
    "GPU-5b,GPU-6c": 2,
    "GPU-5b,GPU-5b": 0,
    "GPU-5b,0": 1,
    "0,GPU-5b": 1,
    "MIG-5b": 1,
    "MIG-5b,GPU-6c": 1,
    "NoDevFiles": 0,
}


@pytest.mark.parametrize("text", VISIBLE)
def test_visible_gpus_are_those_that_cuda_would_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    root = nodes(tmp_path, "dev/nvidia0", "dev/nvidia1", "dev/nvidia2")
    assert len(visible_gpus(root, {"CUDA_VISIBLE_DEVICES": text})) == VISIBLE[text]
    assert visible_gpus(tmp_path / "none", {"CUDA_VISIBLE_DEVICES": text}) == ()
    # Oracle: how torch reads the variable, and where it ends the list by itself.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    read = torch.cuda._parse_visible_devices()
    there = [isinstance(entry, str) or entry < 3 for entry in read]
    assert [*there, False].index(False) == VISIBLE[text]


def test_this_machine_has_the_gpus_that_torch_finds() -> None:
    machine = Machine.here()
    assert machine.cores >= 1
    assert machine.gpus == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


CPUS, TWO_GPUS = Machine(3, 0), Machine(64, 2)


@pytest.mark.parametrize(
    ("machine", "device", "workers", "each"),
    [
        (CPUS, "auto", None, ("auto",) * 3),
        (CPUS, "auto", 5, ("auto",) * 5),
        (CPUS, "cpu", None, ("cpu",) * 3),
        (CPUS, "cpu", 1, ("cpu",)),
        (Machine(MAX_CPU_WORKERS + 1, 0), "cpu", None, ("cpu",) * MAX_CPU_WORKERS),
        (Machine(64, 0), "auto", 64, ("auto",) * 64),
        # The worker asks torch, which says what is here.
        (CPUS, "cuda", None, ("cuda",)),
        (CPUS, "cuda:1", 2, ("cuda:1",) * 2),
        (TWO_GPUS, "auto", None, ("cuda:0", "cuda:1")),
        (TWO_GPUS, "auto", 1, ("cuda:0",)),
        (TWO_GPUS, "auto", 5, ("cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0")),
        (TWO_GPUS, "cuda", None, ("cuda:0", "cuda:1")),
        (TWO_GPUS, "cuda:1", None, ("cuda:1",)),
        (TWO_GPUS, "cuda:1", 2, ("cuda:1", "cuda:1")),
        (TWO_GPUS, "cpu", None, ("cpu",) * MAX_CPU_WORKERS),
    ],
)
def test_each_worker_has_a_device(
    machine: Machine, device: str, workers: int | None, each: tuple[str, ...]
) -> None:
    assert machine.devices(device, workers) == each


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(InputError, match=rf"^workers: must be >= 1, got {workers}$"):
        CPUS.devices("cpu", workers)


@pytest.mark.parametrize(
    ("machine", "device", "cpus", "gpus", "each"),
    [
        (CPUS, "auto", None, None, ("auto",) * 3),
        (CPUS, "auto", 1, None, ("auto",) * 3),
        (CPUS, "auto", 2, None, ("auto",)),
        (CPUS, "cpu", 0.5, None, ("cpu",) * 6),
        (CPUS, "cpu", 0.1, None, ("cpu",) * MAX_CPU_WORKERS),
        (CPUS, "auto", None, 0, ("cpu",) * 3),
        (TWO_GPUS, "auto", 1, None, ("cuda:0", "cuda:1")),
        (TWO_GPUS, "auto", None, 1, ("cuda:0", "cuda:1")),
        (TWO_GPUS, "auto", None, 0.5, ("cuda:0", "cuda:1") * 2),
        (TWO_GPUS, "cuda", None, 0.4, ("cuda:0", "cuda:1") * 2),
        (TWO_GPUS, "auto", None, 0.1, ("cuda:0", "cuda:1") * 10),  # 1 / 0.1 is 10
        (TWO_GPUS, "cuda:1", None, 0.5, ("cuda:1",) * 2),
        (TWO_GPUS, "auto", 20, 0.5, ("cuda:0", "cuda:1", "cuda:0")),
        (TWO_GPUS, "auto", 64, None, ("cuda:0",)),
        (TWO_GPUS, "auto", None, 0, ("cpu",) * MAX_CPU_WORKERS),
        (TWO_GPUS, "cpu", 32, None, ("cpu",) * 2),
    ],
)
def test_as_many_workers_as_their_shares_leave_room_for(
    machine: Machine, device: str, cpus: float | None, gpus: float | None, each: tuple[str, ...]
) -> None:
    assert machine.shared(device, cpus=cpus, gpus=gpus) == each


def test_a_number_of_workers_counts_more_than_their_shares() -> None:
    assert CPUS.shared("auto", 5, cpus=3) == ("auto",) * 5
    assert TWO_GPUS.shared("auto", 3, gpus=1) == ("cuda:0", "cuda:1", "cuda:0")


@pytest.mark.parametrize(
    ("machine", "device", "cpus", "gpus", "line"),
    [
        (CPUS, "auto", None, 1, "gpus: there are none on this machine, got 1"),
        (CPUS, "auto", 4, None, "a worker takes 4 CPUs, this machine has 3 CPUs"),
        (
            TWO_GPUS, "auto", 65, 0.5,
            "a worker takes 65 CPUs and 0.5 GPUs, this machine has 64 CPUs and 2 GPUs",
        ),
        (TWO_GPUS, "cpu", None, 0.5, "gpus: 0.5 do not go together with device cpu"),
        (TWO_GPUS, "cuda:1", None, 0, "gpus: 0 do not go together with device cuda:1"),
        (TWO_GPUS, "auto", None, 2, "gpus: must be from 0 to 1, a worker uses one, got 2"),
        (TWO_GPUS, "auto", None, -1, "gpus: must be from 0 to 1, a worker uses one, got -1"),
        (CPUS, "auto", 0, None, "cpus: must be > 0, got 0"),
        (CPUS, "auto", float("nan"), None, "cpus: must be > 0, got nan"),
        (CPUS, "auto", float("inf"), None, "cpus: must be > 0, got inf"),
    ],
)  # fmt: skip
def test_shares_that_cannot_be_had_are_refused(
    machine: Machine, device: str, cpus: float | None, gpus: float | None, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        machine.shared(device, cpus=cpus, gpus=gpus)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("share", "cpus", "gpus", "workers"),
    [
        (WorkerResources(), 2.5, 0, 2),
        (WorkerResources(0.1), 0.3, 0, 3),
        (WorkerResources(1, 0.5), 8, 1.9, 2),  # a worker has its part of one GPU
        (WorkerResources(1, 0.6), 8, 2, 2),
        (WorkerResources(1, 1), 1, 8, 1),
        (WorkerResources(1, 1), 8, 0, 0),
    ],
)
def test_room_of_a_node(share: WorkerResources, cpus: float, gpus: float, workers: int) -> None:
    assert share.fits(cpus, gpus) == workers


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:17"])
def test_names_of_devices_are_known_whether_these_are_here_or_not(name: str) -> None:
    assert devices.parse_device(name) == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpu", "cuda"),
        ("GPU", "cuda"),
        ("gpu1", "cuda:1"),
        ("gpu:1", "cuda:1"),
        ("nvidia", "cuda"),
        ("cuda1", "cuda:1"),
        ("CUDA1", "cuda:1"),
        ("", None),
        ("tpu", None),
        ("cuda:", None),
        ("cuda:x", None),
        ("cuda:-1", None),
        ("cpu:0", None),
        ("cpu\n", None),
    ],
)
def test_what_names_no_device_is_refused_with_the_near_one(name: str, meant: str | None) -> None:
    hint = "" if meant is None else f"; did you mean {meant!r}?"
    line = f"no such device: got {name!r}; allowed: auto, cpu, cuda, cuda:0, cuda:1, ...{hint}"
    for refuses in (devices.parse_device, CPUS.devices):
        with pytest.raises(InputError) as caught:
            refuses(name)
        assert str(caught.value) == line


@pytest.mark.parametrize(
    ("name", "gpus", "chosen"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 0, "cpu"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_a_device_that_is_here_is_chosen(name: str, gpus: int, chosen: str) -> None:
    assert devices.choose_device(name, gpus) == chosen


@pytest.mark.parametrize(
    ("name", "gpus", "here"),
    [
        ("cuda", 0, "auto, cpu"),
        ("cuda:0", 0, "auto, cpu"),
        ("cuda:1", 1, "auto, cpu, cuda, cuda:0"),
        ("cuda:2", 2, "auto, cpu, cuda, cuda:0, cuda:1"),
        ("gpu", 1, "auto, cpu, cuda, cuda:0; did you mean 'cuda'?"),
        ("cuda1", 2, "auto, cpu, cuda, cuda:0, cuda:1; did you mean 'cuda:1'?"),
    ],
)
def test_a_device_that_is_not_here_is_refused_with_those_that_are(
    name: str, gpus: int, here: str
) -> None:
    with pytest.raises(InputError) as caught:
        devices.choose_device(name, gpus)
    assert str(caught.value) == f"no such device: got {name!r}; here: {here}"


def test_a_torch_without_cuda_is_named_as_the_reason() -> None:
    with pytest.raises(InputError, match=r"here: auto, cpu \(this torch is built without CUDA\)$"):
        devices.choose_device("cuda", 0, without_cuda=True)


def test_the_devices_of_this_machine_are_those_of_torch() -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert devices.resolve_device("cpu") == "cpu"
    assert devices.resolve_device("auto") == ("cuda:0" if count else "cpu")
    with pytest.raises(InputError, match=f"no such device: got 'cuda:{count}'; here: auto, cpu"):
        devices.resolve_device(f"cuda:{count}")
