"""Workers on Ray: a cluster of nodes that are processes of this machine, and a Ray of our own."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.commands import FACTORY, finish, sweeper, write_study
from support.fakes import small_sweep
from support.paths import ROOT, SUPPORT
from support.processes import wait_for
from sweeper import api, lifecycle
from sweeper.cli import main
from sweeper.errors import InputError, SweeperError
from sweeper.store import Store
from sweeper.types import SweepStatus, WorkerStatus
from sweeper.worker.launch import ray_connection, ray_workers
from sweeper.worker.launch.machine import WorkerResources
from sweeper.worker.launch.ray_workers import (
    PlacementNotice,
    RayTask,
    RayWorkers,
    environment,
    run_on_ray,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'sweeper[ray]'"),
]
FAKES = [sys.executable, str(SUPPORT / "fakes.py")]
PASSWORD = "correct-horse-battery"
FRONTS = "fronts:    http://127.0.0.1:8080/sweeps/tiny/\n"
NODE: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
}
DRIVER = """
import os, signal, sys
# Ctrl-C is ignored by what a script has started with &: pytest, perhaps.
signal.signal(signal.SIGINT, signal.default_int_handler)
from sweeper.errors import SweeperError
from sweeper.worker.launch.ray_workers import run_on_ray
from sweeper.worker.launch.machine import WorkerResources
from sweeper.store import Store
name, address, workers, *command = sys.argv[1:]
store = Store(os.environ["SWEEPER_STORAGE"])
try:
    run_on_ray(
        name, store, address=address, share=WorkerResources(), workers=int(workers), pack=2,
        command=command,
    )
except SweeperError as error:
    print(f"error: {error}")
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """Two nodes, on the loopback interface."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # else 127.0.0.1 is replaced
        patch.setenv("PYTHONPATH", f"{ROOT}")
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **NODE})
        made.add_node(num_cpus=1, **NODE)
        yield made
        made.shutdown()


@pytest.fixture
def third(ray_cluster: Any) -> Iterator[Any]:
    """A node for one test alone, which may remove it."""
    node = ray_cluster.add_node(num_cpus=1, **NODE)
    yield node
    if node in ray_cluster.worker_nodes:
        ray_cluster.remove_node(node)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A store whose URL has a password, which the server does not ask for."""
    store = Store(postgres_url.replace("postgres@", f"postgres:{PASSWORD}@"))
    yield store
    store.close()


@pytest.fixture
def name(store: Store) -> Iterator[str]:
    """A registered sweep of 24 trials; no process that has its name is left afterwards."""
    name = f"tiny-{uuid.uuid4().hex[:8]}"
    lifecycle.register(store, small_sweep(name, search={"sampler": "qmc", "trials": 8}))
    yield name
    wait_for(lambda: not processes(name))


def run(name: str, store: Store, ray_cluster: Any, *options: str, **changes: Any) -> None:
    usual: dict[str, Any] = {
        "address": ray_cluster.address,
        "share": WorkerResources(),
        "workers": 2,
        "pack": 2,
        "every": 0.1,
        "command": [*FAKES, *options],
    }
    run_on_ray(name, store, **{**usual, **changes})


def command_lines() -> dict[int, str]:
    """Return the words of every process of this machine that is no zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "cmdline").read_text(errors="replace")
        except OSError:  # it has ended
            continue
    return {pid: line for pid, line in found.items() if line}


def processes(word: str) -> list[int]:
    return [pid for pid, line in command_lines().items() if word in line]


def busy(store: Store, name: str) -> int:
    return sum(worker.slots > 0 for worker in store.status(name).workers)


def claimed(store: Store, name: str) -> int:
    return sum(arm.claimed for arm in store.status(name).arms)


def check_budget(store: Store, name: str, budget: int = 24) -> None:
    facts = store.records(name)
    assert len({fact.slot.place for fact in facts}) == len(facts) == budget
    assert store.status(name).finished


@contextmanager
def driving(
    name: str,
    store: Store,
    ray_cluster: Any,
    *options: str,
    workers: int = 2,
    folder: Path | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """Run a driver in a process of its own; it is there once all workers train."""
    command = [*FAKES, *(options or ("--delay", "600"))]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, name, ray_cluster.address, str(workers), *command],
        env={**os.environ, "SWEEPER_STORAGE": store.url},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: busy(store, name) == workers)
        yield driver
    finally:
        driver.kill()
        driver.wait()
        assert driver.stdout
        driver.stdout.close()


def test_a_sweep_is_finished_though_a_node_dies(
    ray_cluster: Any, third: Any, store: Store, name: str, tmp_path: Path
) -> None:
    resume = tmp_path / "resume"  # Two workers alone would be done before Ray sees that it died.
    with driving(name, store, ray_cluster, "--hold", str(resume), workers=3) as driver:
        ray_cluster.remove_node(third, allow_graceful=False)
        wait_for(lambda: len(store.status(name).workers) == 4)  # it works again on another node
        resume.touch()
        out, _ = driver.communicate(timeout=240)
    assert (driver.returncode, out) == (0, "")
    check_budget(store, name)
    assert claimed(store, name) == 0


def test_workers_leave_before_their_time_is_over_and_another_day_goes_on(
    ray_cluster: Any, store: Store, name: str
) -> None:
    run(name, store, ray_cluster, "--delay", "4", until=time.time() + 20)  # too short for all
    status = store.status(name)
    assert not status.finished
    assert (claimed(store, name), status.failures) == (0, {})
    assert not [worker for worker in status.workers if worker.alive]
    run(name, store, ray_cluster)
    check_budget(store, name)


def test_ctrl_c_gives_slots_back_and_leaves_nothing(
    ray_cluster: Any, store: Store, name: str, tmp_path: Path
) -> None:
    with driving(name, store, ray_cluster, folder=tmp_path) as driver:
        # Where `package.module:factory` is found: not in the folder of the cluster, which is ours.
        for worker in store.status(name).workers:
            assert Path(f"/proc/{worker.pid}/cwd").readlink() == tmp_path
        os.killpg(driver.pid, signal.SIGINT)
        out, _ = driver.communicate(timeout=240)
    assert driver.returncode == 130, out
    assert out == "error: stopped by SIGINT\n"
    assert claimed(store, name) == 0
    assert not [worker for worker in store.status(name).workers if worker.alive]
    assert not processes(name)


def test_a_driver_that_is_killed_leaves_no_process(
    ray_cluster: Any, store: Store, name: str
) -> None:
    with driving(name, store, ray_cluster):
        pass  # it is killed
    wait_for(lambda: not processes(name))

    def is_free() -> bool:
        store.reap(name)  # Ray may have killed them, before they could give anything back
        return claimed(store, name) == 0

    wait_for(is_free)  # one that is about to be gone has no command line, and lives yet


def test_an_error_ends_all_workers_and_is_the_one_line_without_a_password_anywhere(
    ray_cluster: Any, store: Store, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: set[str] = set()

    def look(status: SweepStatus) -> None:
        seen.update(command_lines().values())

    with pytest.raises(InputError, match=r"^mnist: files are missing$"):
        run(name, store, ray_cluster, "--fail", "input", on_status=look)
    assert claimed(store, name) == 0
    assert not processes(name)
    assert any("fakes.py" in line for line in seen)
    assert not any(PASSWORD in line for line in seen)
    assert PASSWORD not in "".join(capfd.readouterr())
    session = Path(ray_cluster.head_node.get_session_dir_path())
    files = [path for path in session.rglob("*") if path.is_file()]
    assert any(f"sweeper-{name}" in str(path) for path in files)
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_workers_wait_for_a_node_that_has_room_for_them(
    ray_cluster: Any, store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "LEAVE_SECONDS", 0.5)
    notes: list[str] = []

    def stop(status: SweepStatus) -> None:
        if status.state == "open":
            store.stop(name)

    share = WorkerResources(cpus=3, gpus=0.5)
    run(name, store, ray_cluster, share=share, on_status=stop, on_note=notes.append)
    assert notes == [
        "ray: no node has room for a worker of 3 CPUs and 0.5 GPUs, the largest has 2 CPUs: "
        "waiting for one that has"
    ]


def test_sqlite_is_refused_on_two_nodes(ray_cluster: Any, sqlite_url: str) -> None:
    with pytest.raises(InputError, match=r"^storage: SQLite .* this cluster has 2 nodes: use Post"):
        run("tiny", Store(sqlite_url), ray_cluster)


def test_a_cluster_that_is_another_machine_cannot_have_the_file(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    ray_workers.check_storage(store, [{"NodeManagerHostname": socket.gethostname()}])
    with pytest.raises(InputError, match=r"^storage: SQLite .* this cluster is another: use Post"):
        ray_workers.check_storage(store, [{"NodeManagerHostname": "another"}])


def listening(pids: set[int]) -> set[str]:
    """Return the addresses, in hexadecimal, on which processes take connections."""
    own = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                own.add(handle.readlink().name.removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()
    ]
    return {words[1].split(":")[0] for words in lines if words[3] == "0A" and words[9] in own}


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    new = {pid}
    while new:
        found |= new
        files = [file for one in new for file in Path(f"/proc/{one}/task").glob("*/children")]
        new = {int(child) for file in files for child in read(file).split()} - found
    return found


def read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the process has ended
        return ""


def test_a_ray_of_our_own_trains_for_real_on_loopback_and_is_gone_afterwards(
    tmp_path: Path,
) -> None:
    # The model is found in the folder of the launch.
    (tmp_path / "mine.py").write_text(FACTORY, encoding="utf-8")
    for name in ("numpy", "pyarrow"):  # which Ray's own workers import
        ran = f"open({str(tmp_path / 'ran')!r}, 'w')"
        (tmp_path / f"{name}.py").write_text(ran, encoding="utf-8")
    study = write_study(tmp_path, trials=4, model="{name: 'mine:network', options: {kernels: 1}}")
    launch = sweeper(tmp_path, "launch", str(study), "--on", "ray", "--workers", "2")
    store = Store(f"sqlite:///{tmp_path}/sweeper.db")
    started: set[int] = set()
    heard: set[str] = set()

    def working() -> bool:
        assert launch.poll() is None, launch.communicate()
        try:
            return any(worker.alive for worker in store.status("tiny").workers)
        except SweeperError:  # not there yet
            return False

    wait_for(working)
    started |= descendants(launch.pid)
    heard |= listening(started)
    out = finish(launch)
    check_budget(store, "tiny", 8)
    store.close()
    assert "8 of 8 trials done" in out
    assert out.endswith("report:    sweeper report tiny\ndashboard: sweeper dashboard\n" + FRONTS)
    assert not (tmp_path / "sweeps" / "tiny" / "report.html").exists()
    assert not (tmp_path / "ran").exists()
    assert len(started) > 5
    assert heard == {"0100007F", "0000000000000000FFFF00000100007F"}
    wait_for(lambda: not started & command_lines().keys())


def test_launch_on_this_machine_trains_for_real(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=2, model="mlp(8)")
    out = finish(sweeper(tmp_path, "launch", str(study), "--on", "local", "--workers", "1"))
    assert "4 of 4 trials done" in out
    assert out.endswith("report:    sweeper report tiny\ndashboard: sweeper dashboard\n" + FRONTS)
    again = finish(sweeper(tmp_path, "launch", str(study), "--cpus", "1"))
    assert "nothing to do" in again


WRONG = {
    "--on mars": "on: no such place: got 'mars'; allowed: local, ray",
    "--on local --address auto": "address: is that of a cluster, which goes together with ray",
    "--on ray --device cpu": "device: on ray it follows from gpus, got 'cpu'",
    "--on ray --gpus 2": "gpus: must be from 0 to 1, a worker uses one, got 2",
    "--on ray --cpus 0": "cpus: must be > 0, got 0",
    "--on ray --cpus 1000": "ray: no node has room for a worker of 1000 CPUs, the largest has ",
    "--on ray --address x": "ray: --address: must be auto, HOST:PORT or ray://HOST:PORT, got 'x'",
    "--on ray --address 127.0.0.1:1": "ray: 127.0.0.1:1: cannot be reached: Connection refused",
    "--on ray --address ray://127.0.0.1:1": "ray: ray://127.0.0.1:1: cannot be reached: Connection",
    "--on ray --storage postgresql://a:secret@b/c": "--storage: arguments can be seen ",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_launched_is_one_line(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    study = write_study(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["launch", str(study), *words.split()])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {WRONG[words]}")
    assert "secret" not in lines[0]


def test_a_missing_ray_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^ray: is not installed: pip install 'sweeper\[ray\]'$"):
        api.launch(write_study(tmp_path), f"sqlite:///{tmp_path}/sweeper.db", on="ray")
    assert not (tmp_path / "sweeper.db").exists()


class _Ray:
    """What a launch needs of Ray, where every task ends at once."""

    class exceptions:  # noqa: N801
        RayError = OSError

    def __init__(self, *answers: tuple[str, str]) -> None:
        self.answers = list(answers)
        self.submitted = 0

    def remote(self, function: object) -> Any:
        return self

    def options(self, **options: object) -> Any:
        self.asked = options
        return SimpleNamespace(remote=self._submit)

    def _submit(self, ray_task: object) -> int:
        self.submitted += 1
        return self.submitted

    def wait(self, tasks: list[int], **options: object) -> tuple[list[int], list[int]]:
        return tasks, []

    def get(self, task: int) -> tuple[str, str]:
        return self.answers[task - 1]

    def get_runtime_context(self) -> Any:
        return self

    def get_node_id(self) -> str:
        return "mine"

    def nodes(self) -> list[dict[str, Any]]:
        nodes = {"mine": {"CPU": 8.0, "GPU": 2.0}, "other": {"CPU": 64.0}}
        return [{"NodeID": name, "Resources": has} for name, has in nodes.items()]


def ray_task(share: WorkerResources, workers: int = 2) -> RayTask:
    return RayTask("tiny", "", share, workers, 1, None, None, None, Path(), 0.1, None)


def test_a_worker_whose_node_is_emptied_is_given_another_place() -> None:
    ray = _Ray(("Interrupted", "stopped by SIGTERM"), ("", ""), ("", ""))
    running = RayWorkers(ray, ray_task(WorkerResources()))
    running.start()
    assert running.settle() == 1
    assert ray.submitted == 3
    assert running.settle() == 0


def test_ray_is_asked_for_the_memory_of_a_trial_where_its_file_says_it() -> None:
    ray = _Ray()
    RayWorkers(ray, ray_task(WorkerResources(2, 0.5, 2**30)))
    assert (ray.asked["num_cpus"], ray.asked["num_gpus"], ray.asked["memory"]) == (2, 0.5, 2**30)
    RayWorkers(ray, ray_task(WorkerResources()))
    assert "memory" not in ray.asked


@pytest.mark.parametrize(
    ("share", "room", "line"),
    [
        (WorkerResources(4), [(2, 8, 1), (3, 0, 9)], "4 CPUs, the largest has 3 CPUs"),
        (WorkerResources(1, 2), [(64, 0, None), (2, 1, None)],
         "1 CPU and 2 GPUs, the largest has 2 CPUs and 1 GPU"),
        (WorkerResources(1, 0, 2**33), [(64, 0, 2**30), (2, 0, 2**32)],
         "1 CPU and 8 GiB of memory, the largest has 2 CPUs and 4 GiB of memory"),
    ],
)  # fmt: skip
def test_the_node_that_comes_nearest_is_named(
    share: WorkerResources, room: list[Any], line: str
) -> None:
    assert ray_workers._no_room(share, room) == f"ray: no node has room for a worker of {line}"


@pytest.mark.parametrize(
    ("share", "workers", "number"),
    [
        (WorkerResources(1, 1), 64, 1),
        (WorkerResources(1, 0.5), 64, 2),
        (WorkerResources(1, 0.3), 64, 3),
        (WorkerResources(1, 0.3), 2, 2),
        (WorkerResources(1), 64, 8),
        (WorkerResources(1), 2, 2),
        (WorkerResources(3), 64, 2),
        (WorkerResources(9), 64, 1),
    ],
)
def test_a_worker_is_told_with_how_many_it_shares_the_memory_of_its_device(
    share: WorkerResources, workers: int, number: int
) -> None:
    told = environment(_Ray(), ray_task(share, workers))
    assert told == ["env", f"SWEEPER_SHARED_BY={number}"]


def test_workers_that_wait_for_room_are_told_of_once() -> None:
    def status(placed: int) -> SweepStatus:
        worker = WorkerStatus("id", "host", 1, "cpu", True, 0, 0, 0.0)
        return SweepStatus("tiny", "", "open", 0.0, 0.0, (), (worker,) * placed)

    waiting = PlacementNotice(4)
    said = {now: waiting.line(status(1 if now < 100 else 3), 4, float(now)) for now in range(300)}
    assert {now: line for now, line in said.items() if line} == {
        30: "1 of 4 workers have begun, the others start or wait for room",
        130: "3 of 4 workers have begun, the others start or wait for room",
    }
    assert not any(waiting.line(status(1), 1, now) for now in (400.0, 500.0))  # three have left
