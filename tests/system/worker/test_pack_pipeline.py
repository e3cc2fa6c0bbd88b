"""SQL beside training: one pack trains, the one before is recorded, the next is claimed ahead."""

import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from support.databases import on_sqlite
from support.fakes import fake_result, fake_train, small_sweep
from support.processes import LONG, wait_for
from support.worker_processes import assert_exact, claimed, facts, states, worker_process
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.errors import DeviceLost, Interrupted, StorageError, TrainingError
from sweeper.search import SweepStudies
from sweeper.store import Store
from sweeper.store.database import Database
from sweeper.trainers.trainer import Train
from sweeper.types import Tick, TrialConfig, TrialResult
from sweeper.worker import pack_pipeline
from sweeper.worker.pack_pipeline import PackPipeline
from sweeper.worker.trial_storage import TrialStorage
from sweeper.worker.worker_loop import work

Log = list[str]


class Paced:
    """Training that ticks until what it waits for is in the log, in which it writes itself.

    Once a tick has raised it waits for nothing any more.
    """

    def __init__(self, log: Log, until: Callable[[int], Sequence[str]], then: Any = None) -> None:
        self.log, self.until, self.then = log, until, then
        self.packs = 0
        self.raised: list[BaseException] = []
        """What ticks raised."""

    def __call__(
        self, configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Callable[[], None]
    ) -> list[TrialResult]:
        def step() -> None:
            try:
                tick()
            except Exception as error:
                self.raised.append(error)
                raise
            time.sleep(0.005)

        self.packs += 1
        number = self.packs
        self.log.append(f"begun {number}")
        wanted = set() if self.raised else set(self.until(number))
        deadline = time.monotonic() + LONG
        step()
        while not wanted <= set(self.log):
            step()
            if time.monotonic() > deadline:
                pytest.fail(f"{wanted} did not come: {self.log}")
        if self.then:
            self.then(number, step)
        self.log.append(f"trained {number}")
        return [fake_result(config, len(configs)) for config in configs]


def ahead(number: int) -> Sequence[str]:
    """Wait for the next pack, and for the record of the last."""
    return [f"claimed {number + 1}", f"recorded {number - 1}"][: 1 + (number > 1)]


def beside(number: int) -> Sequence[str]:
    """Wait for the next pack of the four that `free` has, and for the record of the last."""
    return [one for one in ahead(number) if one != "claimed 5"]


def free(**search: Any) -> Sweep:
    """Return a sweep of eight trials of which none waits for another."""
    arms = {"dense": {}, "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}}
    return small_sweep(search={"sampler": "qmc", "trials": 4, **search}, arms=arms)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Jobs done in the background: the n-th pack was claimed, the n-th was recorded and told."""
    lines: Log = []
    # Training of these tests takes no time, but for what it waits for.
    monkeypatch.setattr(pack_pipeline, "NOTICE_SECONDS", 0.0)

    def logged(name: str, word: str) -> None:
        real, number = getattr(TrialStorage, name), count(1)

        def do(self: TrialStorage, *arguments: Any, **options: Any) -> Any:
            found = real(self, *arguments, **options)
            if found or name == "record":
                lines.append(f"{word} {next(number)}")
            return found

        monkeypatch.setattr(TrialStorage, name, do)

    logged("claim", "claimed")
    logged("record", "recorded")
    return lines


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file in which `free` is registered."""
    file = tmp_path_factory.mktemp("registered") / "sweeps.db"
    store = Store(f"sqlite:///{file}")
    lifecycle.register(store, free())
    store.close()
    return file


@pytest.fixture
def registered_store(registered: Path, tmp_path: Path) -> Iterator[Store]:
    """A store with `free`, for what is the same on every kind of database."""
    store = Store(f"sqlite:///{shutil.copy(registered, tmp_path)}")
    yield store
    store.close()


def running(store: Store, sweep: Sweep) -> int:
    return sum(states(store, arm).get("RUNNING", 0) for arm in sweep.arms)


def lost(store: Store) -> int:
    return sum(store.status("tiny").failures.values())


def assert_all_given_back(store: Store, sweep: Sweep) -> None:
    assert claimed(store) == 0
    assert running(store, sweep) == 0
    assert store.unreported("tiny") == ()


@on_sqlite
def test_a_pack_is_recorded_and_the_next_but_one_claimed_while_one_trains(
    store: Store, log: Log
) -> None:
    lifecycle.register(store, free())

    def look(number: int, tick: Callable[[], None]) -> None:
        found = sum((Counter(states(store, arm)) for arm in free().arms), Counter[str]())
        assert found["TOLD"] == 2 * (number - 1) == store.status("tiny").done

    assert work("tiny", store, pack=2, train=Paced(log, beside, look)) == 8
    assert_exact(store, free())


@on_sqlite
def test_between_packs_no_database_is_waited_for(
    store: Store, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.register(store, free())
    between = threading.Event()

    def gated(real: Callable[..., Any], self: Any, *arguments: Any) -> Any:
        wait_for(lambda: not between.is_set())
        return real(self, *arguments)

    for name in ("read", "write"):
        real = getattr(Database, name)
        monkeypatch.setattr(Database, name, lambda *a, real=real: gated(real, *a))
    paced = Paced(log, beside)

    def train(*arguments: Any, **options: Any) -> list[TrialResult]:
        between.clear()
        results = paced(*arguments, **options)
        if paced.packs < 4:
            between.set()
        return results

    assert work("tiny", store, pack=2, train=train) == 8
    assert_exact(store, free())


def test_facts_do_not_depend_on_what_is_claimed_ahead(tmp_path: Path, log: Log) -> None:
    sweep = small_sweep(search={"sampler": "tpe", "trials": 9})
    found = []
    for name, pack, train in (
        ("ahead", 4, Paced(log, lambda number: ["claimed 2"])),
        ("at once", 27, fake_train),
    ):
        store = Store(f"sqlite:///{tmp_path / name}.db")
        lifecycle.register(store, sweep)
        work("tiny", store, pack=pack, train=train)
        assert_exact(store, sweep)
        found.append(facts(store))
        store.close()
    assert found[0] == found[1]


# What can go wrong in the background while something trains, at each of its steps: the first of
# a kind but for claiming, whose second is the one ahead.
STEPS: dict[str, tuple[type, int]] = {
    "claim": (Store, 2), "ask": (SweepStudies, 2), "link": (Store, 2),
    "record": (Store, 1), "tell": (SweepStudies, 1), "mark_reported": (Store, 1),
    "publish": (SweepStudies, 1),
}  # fmt: skip


def mishap(
    monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool, what: Callable[..., None]
) -> None:
    """Have `what` happen before or after a step is really done; it may raise."""
    owner, turn = STEPS[step]
    real, calls = getattr(owner, step), count(1)

    def do(*arguments: Any, **options: Any) -> Any:
        mine = next(calls) == turn
        if mine and not after:
            what(*arguments)
        found = real(*arguments, **options)
        if mine and after:
            what(*arguments)
        return found

    monkeypatch.setattr(owner, step, do)


def raising(error: BaseException) -> Callable[..., None]:
    def do(*_: Any) -> None:
        raise error

    return do


@pytest.mark.parametrize(
    ("step", "after"),
    [(step, False) for step in STEPS]
    + [(step, True) for step in STEPS if step not in {"ask", "publish"}],
)
def test_an_error_of_the_database_beside_training_ends_the_worker_and_loses_nothing(
    registered_store: Store, log: Log, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    train = Paced(log, beside)
    with monkeypatch.context() as patch:
        mishap(patch, step, after=after, what=raising(StorageError("the database is away")))
        with pytest.raises(StorageError, match="the database is away"):
            work("tiny", registered_store, pack=2, train=train)
    assert [str(one) for one in train.raised] == ["the database is away"]
    assert claimed(registered_store) == 0
    before = registered_store.records("tiny")
    # What was on record stays, and what was not is trained again.
    assert work("tiny", registered_store, pack=3, train=fake_train) == 8 - len(before)
    assert set(map(repr, before)) <= set(map(repr, registered_store.records("tiny")))
    assert_exact(registered_store, free())


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("claim", RuntimeError("a bug")),
        ("record", MemoryError("a bug")),
        ("publish", RuntimeError("a bug")),
    ],
)
def test_a_mistake_of_ours_beside_training_is_no_failure_of_training(
    registered_store: Store,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: Exception,
) -> None:
    with monkeypatch.context() as patch:
        mishap(patch, step, after=False, what=raising(error))
        with pytest.raises(type(error), match="a bug"):
            work("tiny", registered_store, pack=2, train=Paced(log, beside))
    assert claimed(registered_store) == 0
    work("tiny", registered_store, pack=3, train=fake_train)
    assert_exact(registered_store, free())


@pytest.mark.parametrize(
    ("step", "after"), [("claim", False), ("link", False), ("record", False), ("record", True)]
)
def test_a_worker_whose_lease_ends_beside_training_joins_again_and_nothing_is_lost(
    registered_store: Store, log: Log, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    def end_lease(store: Store, worker: str, *_: Any) -> None:
        store.leave(worker)  # as whoever mends does to a lease that is over

    events: Log = []
    with monkeypatch.context() as patch:
        mishap(patch, step, after=after, what=end_lease)
        done = work(
            "tiny", registered_store, pack=2, train=Paced(log, beside), on_event=events.append
        )
    assert done == 8
    assert sum(event.startswith("lease lost") for event in events) == 1
    assert_exact(registered_store, free())


@on_sqlite
def test_what_was_claimed_ahead_of_a_lost_lease_is_others_and_is_not_trained(
    store: Store, log: Log
) -> None:
    lifecycle.register(store, free())

    def frozen(number: int, tick: Callable[[], None]) -> None:
        (mine,) = (one.id for one in store.status("tiny").workers if one.alive)
        store.leave(mine)
        assert work("tiny", store, train=fake_train) == 8  # takes over what the lease held

    events: Log = []
    train = Paced(log, ahead, frozen)
    assert work("tiny", store, pack=2, train=train, on_event=events.append) == 0
    assert sum(event.startswith("lease lost") for event in events) == 1
    assert "trained 2" not in log
    assert_exact(store, free())


@on_sqlite
def test_stop_gives_back_what_trains_and_what_is_claimed_ahead(store: Store, log: Log) -> None:
    lifecycle.register(store, free())

    def stop(number: int, tick: Callable[[], None]) -> None:
        if number == 2:
            store.stop("tiny")
            while True:  # until the tick raises
                tick()

    assert work("tiny", store, pack=2, train=Paced(log, ahead, stop)) == 2
    assert lost(store) == 4
    assert_all_given_back(store, free())
    assert lifecycle.register(store, free()) == "resumed"
    assert work("tiny", store, pack=3, train=fake_train) == 6
    assert_exact(store, free())


def test_training_that_fails_gives_its_pack_back_and_goes_on_with_the_one_ahead(
    registered_store: Store, log: Log
) -> None:
    def fail_once(number: int, tick: Callable[[], None]) -> None:
        if number <= 3:  # the pack, and then each of its two arms alone
            raise ValueError("no such thing")

    assert work(
        "tiny", registered_store, pack=2, train=Paced(log, lambda number: ["claimed 2"], fail_once)
    )
    assert lost(registered_store) == 2
    assert_exact(registered_store, free())


def test_training_that_fails_three_times_gives_back_what_is_claimed_ahead(
    registered_store: Store, log: Log
) -> None:
    # A pack is trained as a whole, then arm by arm.
    train = Paced(
        log, lambda number: [f"claimed {(number + 2) // 3 + 1}"], raising(ValueError("no"))
    )
    with pytest.raises(TrainingError, match=r"arm \w+: ValueError: no \(3 times\)"):
        work("tiny", registered_store, pack=2, train=train)
    assert train.packs == 8
    assert registered_store.status("tiny").failures == {"given back": 3, "error": 5}
    assert_all_given_back(registered_store, free())


def test_a_gpu_that_is_lost_ends_the_worker_and_blames_no_arm(
    registered_store: Store, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of CUDA nothing is real: from the first error on the context answers with it alone.
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for _ in range(4):
        monkeypatch.setattr(torch.cuda, "synchronize", raising(error))
        train = Paced(log, lambda number: [], raising(error))
        with pytest.raises(DeviceLost) as caught:
            work("tiny", registered_store, device="cuda:0", pack=2, train=train)
        assert str(caught.value) == (
            "cuda:0 takes no more work from this process: "
            "AcceleratorError: CUDA error: an illegal memory access was encountered"
        )
        assert train.packs == 1  # no arm is tried alone
        assert_all_given_back(registered_store, free())
    assert registered_store.status("tiny").failures.keys() == {"given back"}
    # An error that passes is one of training, on a GPU too.
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    with pytest.raises(TrainingError, match=r"arm \w+: AcceleratorError: .* \(3 times\)"):
        work("tiny", registered_store, device="cuda:0", pack=2, train=train)


# Signals.


@on_sqlite
def test_sigterm_gives_back_what_trains_and_what_is_claimed_ahead_long_before_the_training_ends(
    store: Store,
) -> None:
    lifecycle.register(store, free())
    with worker_process(store.url, "--delay", "0,600") as process:
        wait_for(lambda: (store.status("tiny").done, claimed(store)) == (2, 4))
        process.terminate()
        output, _ = process.communicate(timeout=240)
    assert process.returncode == Interrupted.exit_code, output
    assert (store.status("tiny").done, lost(store)) == (2, 4)
    assert_all_given_back(store, free())
    assert work("tiny", store, pack=3, train=fake_train) == 6
    assert_exact(store, free())


@pytest.mark.parametrize("hangs", [False, True], ids=["slow", "hanging"])
def test_sigterm_while_a_pack_is_told_waits_for_that_but_not_for_ever(
    registered_store: Store, log: Log, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    answers = threading.Event()

    def hang(*_: Any) -> None:
        assert answers.wait(240)

    def terminate(number: int, tick: Callable[[], None]) -> None:
        if number == 2:
            wait_for(lambda: registered_store.status("tiny").done == 2)
            os.kill(os.getpid(), signal.SIGTERM)
            if hangs:
                monkeypatch.setattr(pack_pipeline, "FINISH_SECONDS", 0.2)
            else:
                threading.Timer(0.2, answers.set).start()
            tick()

    train = Paced(log, lambda number: [f"claimed {number + 1}"][: number == 1], terminate)
    events: Log = []
    with monkeypatch.context() as patch:
        mishap(patch, "tell", after=False, what=hang)
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            work("tiny", registered_store, pack=2, train=train, on_event=events.append)
        assert answers.is_set() is not hangs
        assert any(event.startswith("recorded 2 trials") for event in events) is not hangs
        assert (registered_store.status("tiny").done, claimed(registered_store)) == (2, 0)
        answers.set()
        wait_for(lambda: all(one.name != "sweeper-background" for one in threading.enumerate()))
    # What is being told of a study is told as a whole, however late.
    assert running(registered_store, free()) == 0
    assert work("tiny", registered_store, pack=3, train=fake_train) == 6
    assert_exact(registered_store, free())


def test_sigterm_is_obeyed_while_a_failed_pack_waits_to_be_given_back(
    registered_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_pipeline, "FINISH_SECONDS", 0.2)
    answers = threading.Event()
    release = Store.release

    def hanging(*arguments: Any, **options: Any) -> None:
        assert answers.wait(240)
        release(*arguments, **options)

    def train(*_: Any, **__: Any) -> list[TrialResult]:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("no")

    monkeypatch.setattr(Store, "release", hanging)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        work("tiny", registered_store, pack=1, train=train)
    assert not answers.is_set()
    assert claimed(registered_store) == 0
    answers.set()


def test_sigterm_in_a_pack_that_fails_trains_none_of_its_arms_alone(
    registered_store: Store,
) -> None:
    attempts: list[int] = []

    def train(configs: Sequence[TrialConfig], *_: Any, **__: Any) -> list[TrialResult]:
        attempts.append(len(configs))
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("no")

    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        work("tiny", registered_store, pack=2, train=train)
    assert attempts == [2]
    assert_all_given_back(registered_store, free())


def test_kill_while_a_pack_is_claimed_ahead_costs_no_trial_and_doubles_none(store: Store) -> None:
    lifecycle.register(store, free())
    with worker_process(store.url, "--delay", "0,600") as process:
        wait_for(lambda: (store.status("tiny").done, running(store, free())) == (2, 4))
        process.kill()
        process.wait()
    assert claimed(store) == 4
    assert work("tiny", store, pack=3, train=fake_train) == 6
    assert lost(store) == 4
    assert_exact(store, free())


def test_kill_between_record_and_tell_beside_training_doubles_no_trial(
    registered_store: Store,
) -> None:
    with worker_process(registered_store.url, "--delay", "1.5,600", "--tell", "600") as process:
        wait_for(lambda: registered_store.status("tiny").done == 2)
        wait_for(lambda: claimed(registered_store) == 2)
        process.kill()
        process.wait()
    assert running(registered_store, free()) == 4  # two of them are on record
    assert work("tiny", registered_store, pack=3, train=fake_train) == 6
    assert lost(registered_store) == 2
    assert_exact(registered_store, free())


# Memory that runs out.

TORCH = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate {} bytes. Error code 12 (Cannot allocate memory)"
)
RAN_OUT: dict[str, Callable[[int], Exception]] = {
    "python": lambda size: MemoryError(f"{size} bytes"),
    "torch": lambda size: RuntimeError(TORCH.format(size)),
}


class Known:
    """Lease and background of a pipeline that only reports."""

    progress = 0.0

    def check(self) -> None:
        pass


def test_progress_is_the_share_that_training_tells_or_else_counts_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lease, left = Known(), list[float]()
    known: Any = lease
    packs = PackPipeline(known, threading.Event(), known, known, lambda pack, seconds: None)
    monkeypatch.setattr(PackPipeline, "on_step", lambda self, seconds: left.append(seconds))
    times = iter([10.0, 12.0, 14.0, 15.0, 16.0])
    monkeypatch.setattr(pack_pipeline, "time", SimpleNamespace(monotonic=lambda: next(times)))
    on_step = packs.step_callback(1000, last=True)
    shown = []
    # Half of the work is done in two seconds; a part is then trained again in smaller packs.
    for share in (0.0, 0.5, 0.8, 0.2, 1.0):
        on_step(share)
        shown.append(lease.progress)
    assert shown == [0.0, 0.5, 0.8, 0.8, 0.99]
    assert left == pytest.approx([math.inf, 2.0, 1.0, 1.25, 0.0])
    monkeypatch.setattr(pack_pipeline, "time", SimpleNamespace(monotonic=lambda: 0.0))
    on_step, shown = packs.step_callback(4, last=False), []
    for _ in range(6):
        on_step()
        shown.append(lease.progress)
    assert shown == [0.0, 0.25, 0.5, 0.75, 0.99, 0.99]


class Cramped:
    """Training for which memory is enough for packs up to a size: of its n-th call, `fits(n)`."""

    def __init__(
        self, fits: Callable[[int], int], ran_out: Callable[[int], Exception], train: Train
    ) -> None:
        self.fits, self.ran_out, self.train = fits, ran_out, train
        self.sizes: list[int] = []
        self.trained: Counter[TrialConfig] = Counter()

    def __call__(
        self, configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Tick
    ) -> list[TrialResult]:
        self.sizes.append(len(configs))
        if len(self.sizes) > 20:
            pytest.fail(f"goes on for ever: {self.sizes}")
        tick()
        if len(configs) > self.fits(len(self.sizes)):
            raise self.ran_out(1000 + len(self.sizes))  # no two errors say the same
        self.trained.update(configs)
        return self.train(configs, data, device, tick=tick)


@pytest.mark.parametrize("kind", RAN_OUT)
def test_where_memory_runs_out_packs_are_halved_and_nothing_is_trained_twice(
    registered_store: Store, kind: str
) -> None:
    train, events = Cramped(lambda call: 2, RAN_OUT[kind], fake_train), list[str]()
    assert work("tiny", registered_store, pack=5, train=train, on_event=events.append) == 8
    # Of the five that are claimed first the rest is trained in packs that fit, as is all later.
    assert train.sizes == [5, 3, 2, 2, 1, 2, 1]
    assert set(train.trained.values()) == {1}
    assert [line for line in events if "memory" in line] == [
        "cpu: out of memory with a pack of 5: packs of 3 from now on",
        "cpu: out of memory with a pack of 3: packs of 2 from now on",
    ]
    assert set(registered_store.status("tiny").failures) == {"memory"}  # and no slot was lost
    assert_exact(registered_store, free())


def test_memory_that_runs_out_later_halves_what_is_claimed_ahead_too(
    registered_store: Store, log: Log
) -> None:
    paced = Paced(log, lambda number: ["claimed 2"])
    train = Cramped(lambda call: max(1, 5 - call), RAN_OUT["python"], paced)
    assert work("tiny", registered_store, pack=4, train=train) == 8
    assert train.sizes == [4, 4, 2, 2, 1, 1]
    assert set(train.trained.values()) == {1}
    assert_exact(registered_store, free())


@pytest.mark.parametrize("kind", RAN_OUT)
def test_a_single_network_that_does_not_fit_ends_the_worker_in_one_line(
    registered_store: Store, kind: str
) -> None:
    train, events = Cramped(lambda call: 0, RAN_OUT[kind], fake_train), list[str]()
    with pytest.raises(TrainingError) as caught:
        work("tiny", registered_store, pack=2, train=train, on_event=events.append)
    # Halved; then each of the two arms alone; then what is claimed one by one from now on.
    assert train.sizes == [2, 1, 1, 1, 1, 1]
    assert registered_store.status("tiny").failures["memory"] >= 5
    failed = [line for line in events if line.startswith("training ")]
    assert len(failed) == 5
    for line in (*failed, str(caught.value)):
        assert "out of memory on cpu with a single network (" in line
        assert "bytes" in line
        assert "\n" not in line
    assert str(caught.value).endswith("a smaller model may help (3 times)")
    assert_all_given_back(registered_store, free())
