"""Workers against real databases, with training that is a pure function and takes no time."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.databases import on_sqlite
from support.fakes import (
    auto_sweep,
    fake_probe,
    fake_train,
    grid_sweep,
    small_sweep,
)
from support.paths import ROOT, SUPPORT, TESTS
from support.processes import wait_for
from support.worker_processes import assert_exact, claimed, facts, states, worker_process
from sweeper import lifecycle
from sweeper.errors import (
    DataError,
    InputError,
    Interrupted,
    StorageError,
    TrainingError,
    UnknownSweepError,
)
from sweeper.search import StudyOwner, SweepStudies
from sweeper.settings import PARENT_VARIABLE
from sweeper.store import Store
from sweeper.types import ProbePoint, TrialConfig, TrialResult
from sweeper.worker.worker_loop import work


@pytest.mark.parametrize("sampler", ["qmc", "grid", "random", "tpe", "nsga2"])
def test_facts_do_not_depend_on_the_number_of_workers(sampler: str, tmp_path: Path) -> None:
    search = {"sampler": sampler, "trials": {"grid": 6, "tpe": 13}.get(sampler, 5)}
    arms = small_sweep().model_dump()["arms"]
    del arms["mix"]
    sweep = (
        grid_sweep(search=search) if sampler == "grid" else small_sweep(search=search, arms=arms)
    )
    found = []
    for workers in (1, 3):
        store = Store(f"sqlite:///{tmp_path}/{workers}.db")
        lifecycle.register(store, sweep)
        failures: list[BaseException] = []

        def run(store: Store = store, failures: list[BaseException] = failures) -> None:
            own = Store(store.url)
            try:
                work("tiny", own, pack=5, train=partial(fake_train, delay=0.01))
            except BaseException as error:
                failures.append(error)
            own.close()

        threads = [threading.Thread(target=run) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert_exact(store, sweep)
        found.append(facts(store))
        store.close()
    assert found[0] == found[1]


def test_a_killed_worker_costs_no_trial_and_doubles_none(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    # The lease of the dead is not waited for: it would be longer than this test may take.
    with worker_process(store.url, "--delay", "600", "--lease", "3600") as process:
        wait_for(lambda: claimed(store) > 0 and "RUNNING" in states(store))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert work("tiny", store, pack=4, train=fake_train) == 18
    assert_exact(store, sweep)
    assert states(store)["FAIL"] >= 1
    # A pack was in training, and another one may have been claimed ahead of it.
    assert store.status("tiny").failures in ({"killed": 2}, {"killed": 4})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@on_sqlite
def test_a_signal_gives_slots_back_long_before_the_training_ends(
    store: Store, number: signal.Signals
) -> None:
    lifecycle.register(store, small_sweep())
    with worker_process(store.url, "--delay", "600") as process:
        wait_for(lambda: claimed(store) > 0)
        process.send_signal(number)
        output, _ = process.communicate(timeout=240)
    assert process.returncode == Interrupted.exit_code
    assert f"error: stopped by {number.name}" in output
    assert claimed(store) == 0
    assert "RUNNING" not in states(store)


@on_sqlite
def test_a_worker_hears_sigterm_though_its_launcher_did_not(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    deaf = ["sh", "-c", 'trap "" TERM HUP; exec "$0" "$@"', sys.executable]
    with subprocess.Popen(
        [*deaf, str(SUPPORT / "fakes.py"), "tiny", "--delay", "600"],
        env={**os.environ, "SWEEPER_STORAGE": store.url, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(lambda: claimed(store) > 0)
            process.send_signal(signal.SIGHUP)  # by nohup: that is not for it
            process.terminate()
            assert process.wait(timeout=240) == Interrupted.exit_code
        finally:
            process.kill()
    assert claimed(store) == 0


# A worker whose process is its own, and which is busy where no signal is looked for.
BUSY = """\
import sys, time
from support.fakes import fake_probe
from sweeper.config.registry import load
from sweeper.errors import SweeperError
from sweeper.store import Store
from sweeper.worker import stop_signals, worker_loop

def busy(*_, **__):
    print("busy", flush=True)
    time.sleep(300)

def loads(*_, **__):
    return load("slow_to_load:make")

if sys.argv[2] == "training":
    stop_signals.ORDERLY_SECONDS = 1.0
    how = dict(train=busy, probe=fake_probe, pack=2)
else:
    worker_loop.open_trainer, how = loads, {}
try:
    worker_loop.work("tiny", Store(sys.argv[1]), alone=True, **how)
except SweeperError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("training", "error: asked to stop while busy, and ended\n"),
        # As is torch; the error that the import ends with is another one.
        ("loading", "Interrupted: stopped by SIGTERM\n"),
    ],
)
@on_sqlite
def test_a_busy_worker_gives_its_slots_back_and_ends(
    store: Store, tmp_path: Path, where: str, said: str
) -> None:
    lifecycle.register(store, small_sweep())
    (tmp_path / "slow_to_load.py").write_text(
        "import time\nprint('busy', flush=True)\ntime.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, store.url, where],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "busy\n"
            assert (claimed(store) > 0) == (where == "training")
            process.terminate()
            _, errors = process.communicate(timeout=240)
        finally:
            process.kill()
    assert (process.returncode, errors) == (Interrupted.exit_code, said)
    assert claimed(store) == 0
    assert not any(worker.alive for worker in store.status("tiny").workers)
    # What Optuna has of it, the next one mends.
    assert work("tiny", store, pack=4, train=fake_train) == 18
    assert "RUNNING" not in states(store)


@on_sqlite
def test_a_worker_stops_when_its_launcher_is_gone(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    # A shell between us and the worker is its launcher; we kill it with -9.
    script = f'"{sys.executable}" "{SUPPORT / "fakes.py"}" tiny --delay 600 & echo $!; wait'
    launcher = subprocess.Popen(
        ["/bin/sh", "-c", f"export {PARENT_VARIABLE}=$$; {script}"],
        env={**os.environ, "SWEEPER_STORAGE": store.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout
    worker = int(launcher.stdout.readline())
    try:
        wait_for(lambda: claimed(store) > 0)
        launcher.kill()
        wait_for(lambda: claimed(store) == 0)
        assert "RUNNING" not in states(store)
        launcher.stdout.read()  # until the worker has closed it, too
    finally:
        launcher.wait()
        launcher.stdout.close()
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def test_a_worker_with_its_own_training_loads_no_torch(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    lifecycle.register(store, small_sweep(search={"sampler": "qmc", "trials": 1}))
    with worker_process(store.url) as process:
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == "no torch"
    assert store.finished("tiny")
    store.close()


def test_a_crash_between_record_and_tell_is_mended_from_the_fact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    with monkeypatch.context() as patch:

        def crash(*arguments: object) -> None:
            raise StorageError("gone")

        patch.setattr(SweepStudies, "tell", crash)
        with pytest.raises(StorageError, match="gone"):
            work("tiny", store, pack=3, train=fake_train)
    assert len(store.unreported("tiny")) == 3
    assert store.status("tiny").done == 3
    lifecycle.recover(store, "tiny")
    assert store.unreported("tiny") == ()
    assert work("tiny", store, pack=3, train=fake_train) == 15
    assert_exact(store, sweep)


def test_a_study_that_was_deleted_in_the_dashboard_ends_with_the_exact_budget(
    store: Store,
) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)

    def stop_early(configs: Sequence[TrialConfig], *arguments: Any, **options: Any) -> Any:
        if store.status("tiny").done >= 6:
            store.stop("tiny")
        return fake_train(configs, *arguments, **options)

    work("tiny", store, pack=3, train=stop_early)
    before = store.records("tiny")
    assert 6 <= len(before) < 18
    search = SweepStudies(store.url, sweep, StudyOwner(sweep.name, store.identity(sweep.name)))
    search.delete()
    search.close()
    lifecycle.register(store, sweep)
    work("tiny", store, pack=3, train=fake_train)
    after = store.records("tiny")
    assert len(after) == 18
    assert set(map(repr, before)) <= set(map(repr, after))


def test_a_worker_does_not_train_its_old_file_for_a_new_sweep_of_the_name(store: Store) -> None:
    lifecycle.register(store, small_sweep())

    def replaced(configs: Sequence[TrialConfig], *arguments: Any, **options: Any) -> Any:
        with lifecycle.open_studies(store, small_sweep()) as search:
            search.delete()
        store.delete("tiny")
        time.sleep(0.01)
        lifecycle.register(store, small_sweep(training={"epochs": 7, "learning_rate": 0.1}))
        return fake_train(configs, *arguments, **options)

    with pytest.raises(UnknownSweepError, match="registered anew"):
        work("tiny", store, pack=3, train=replaced)
    assert store.records("tiny") == ()


def test_a_worker_does_not_bring_back_the_studies_of_a_deleted_sweep(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    search = SweepStudies(store.url, sweep, StudyOwner(sweep.name, store.identity(sweep.name)))
    search.delete()
    with pytest.raises(UnknownSweepError, match="study is gone"):
        search.running("tiny/l1/0")
    search.close()


def test_trials_of_no_slot_are_told_fail_and_those_of_the_living_are_not(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cpu")
    search = SweepStudies(store.url, sweep, StudyOwner(sweep.name, store.identity(sweep.name)))
    slots = store.claim(worker, 9)
    slot = next(one for one in slots if one.arm == "l1")
    orphan, trial = (search.ask([slot])[slot][0].trial for _ in range(2))
    lifecycle.recover(store, "tiny")
    assert search.running("tiny/l1/0") == (orphan, trial)  # one of them is about to be linked
    store.link(worker, {slot: trial})
    store.link(worker, {other: 99 for other in slots if other != slot})
    lifecycle.recover(store, "tiny")
    assert search.running("tiny/l1/0") == (trial,)
    store.leave(worker)
    lifecycle.recover(store, "tiny")
    assert search.running("tiny/l1/0") == ()
    search.close()


@on_sqlite
def test_stop_ends_workers_quietly_and_register_goes_on(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)

    def stop(configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Any) -> Any:
        store.stop("tiny")
        return fake_train(configs, data, device, tick=tick, delay=60)

    assert work("tiny", store, train=stop) == 0
    assert claimed(store) == 0
    assert work("tiny", store, train=fake_train) == 0  # stopped is stopped
    assert lifecycle.register(store, sweep) == "resumed"
    assert work("tiny", store, train=fake_train) == 18
    assert_exact(store, sweep)


def test_a_worker_that_lost_its_lease_drops_its_slots_without_harm(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep()
    store = Store(storage_url, lease_seconds=4.0)
    lifecycle.register(store, sweep)
    frozen: list[str] = []

    def alive() -> list[str]:
        return [one.id for one in store.status("tiny").workers if one.alive]

    renew = Store.renew

    def blocked(self: Store, worker: str, *, progress: float = 0.0) -> None:
        if worker in frozen:
            raise StorageError("the network is away")
        renew(self, worker, progress=progress)

    def slow_once(
        configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Callable[[], None]
    ) -> list[TrialResult]:
        if not frozen:
            frozen.extend(alive())
            wait_for(lambda: not alive())  # frozen: no tick, and no renewal
            other = Store(storage_url)
            work("tiny", other, train=fake_train)  # takes over what the lease held
            other.close()
        return fake_train(configs, data, device, tick=lambda: None)

    monkeypatch.setattr(Store, "renew", blocked)
    events: list[str] = []
    done = work("tiny", store, pack=3, train=slow_once, on_event=events.append)
    assert done == 0
    assert any(event.startswith("lease lost") for event in events)
    assert_exact(store, sweep)
    store.close()


@on_sqlite
def test_the_same_failure_three_times_ends_the_worker_in_one_line(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    attempts: list[int] = []

    def broken(configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Any) -> Any:
        attempts.append(len(configs))
        raise ValueError("shapes do not fit\nsecond line")

    with pytest.raises(TrainingError) as caught:
        work("tiny", store, pack=4, train=broken)
    assert re.fullmatch(r"arm \w+: ValueError: shapes do not fit \(3 times\)", str(caught.value))
    # Three packs of two arms, and each arm of them alone, until the first has failed three times.
    assert attempts == [4, 3, 1, 4, 3, 1, 4, 3]
    status = store.status("tiny")
    assert (status.state, status.error) == ("failed", str(caught.value))
    assert status.failures["error"] >= 5
    assert {arm.last_error.text for arm in status.arms if arm.last_error} == {
        "ValueError: shapes do not fit"
    }
    assert claimed(store) == 0
    assert "RUNNING" not in states(store)


@on_sqlite
def test_a_failure_that_passes_is_forgiven(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    attempts: list[int] = []

    def flaky(configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Any) -> Any:
        attempts.append(1)
        if len(attempts) % 4 in (1, 2):  # a pack of two arms, then the first of them alone
            raise RuntimeError("out of memory for a moment")
        return fake_train(configs, data, device, tick=tick)

    assert work("tiny", store, pack=6, train=flaky) == 18
    assert_exact(store, sweep)


@on_sqlite
def test_a_mistake_of_the_user_is_not_tried_again(store: Store) -> None:
    lifecycle.register(store, small_sweep())
    attempts: list[int] = []

    def missing(configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Any) -> Any:
        attempts.append(1)
        raise DataError("mnist: files are missing")

    with pytest.raises(DataError):
        work("tiny", store, train=missing)
    assert len(attempts) == 1
    assert claimed(store) == 0


@on_sqlite
def test_a_finished_sweep_is_left_as_it_is(store: Store) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    work("tiny", store, train=fake_train)
    before = facts(store), states(store)
    assert work("tiny", store, train=fake_train) == 0
    assert (facts(store), states(store)) == before


@on_sqlite
def test_an_arm_that_is_added_while_a_worker_trains_is_trained_too(store: Store) -> None:
    sweep = small_sweep()
    more = small_sweep(
        arms={**sweep.model_dump()["arms"], "l2": {"penalty": "l2", "strength": 0.1}}
    )
    lifecycle.register(store, sweep)

    def extend(configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Any) -> Any:
        lifecycle.register(store, more, extend=True)
        return fake_train(configs, data, device, tick=tick)

    assert work("tiny", store, train=extend) == 24
    assert_exact(store, more)


# Ranges that a probe finds; test_recorded_ranges has them on every kind of database.


def test_strengths_are_searched_in_the_range_of_their_probe(sqlite_store: Store) -> None:
    sweep = auto_sweep(search={"sampler": "qmc"})
    lifecycle.register(sqlite_store, sweep)
    said: list[str] = []
    work("tiny", sqlite_store, pack=4, train=fake_train, probe=fake_probe, on_event=said.append)
    assert_exact(sqlite_store, sweep)
    found = sqlite_store.strength_ranges("tiny")
    assert [(one.arm, one.parameter) for one in found] == [
        ("l1", "strength"), ("both", "l1.strength"), ("both", "marginal_entropy.strength"),
    ]  # fmt: skip
    assert [one.reused for one in found] == [False, True, False]
    for one in found:
        assert (one.range.low, one.range.high) == pytest.approx((1e-4, 0.1))
    for fact in sqlite_store.records("tiny"):
        strengths = [value for key, value in fact.params.items() if key.endswith("strength")]
        assert len(strengths) == {"dense": 0, "l1": 1, "both": 2}[fact.slot.arm]
        assert all(0.99e-4 <= float(value) <= 0.101 for value in strengths)
    assert sum("by a probe of" in line for line in said) == 2
    status = sqlite_store.status("tiny")
    assert (status.probes, status.probed) == (3, 3)


def test_facts_with_probes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    found = []
    for name, workers, pack in (("one", 1, 16), ("three", 3, 2)):
        store = Store(f"sqlite:///{tmp_path / name}.db")
        lifecycle.register(store, auto_sweep(search={"sampler": "tpe"}))
        run = partial(work, "tiny", store, pack=pack, train=fake_train, probe=fake_probe)
        if workers == 1:
            run()
        else:
            with (
                worker_process(store.url, "--pack", "2") as first,
                worker_process(store.url, "--pack", "2") as second,
            ):
                run()
                assert first.wait(240) == second.wait(240) == 0
        found.append(facts(store))
        store.close()
    assert found[0] == found[1]


def test_a_worker_killed_in_a_probe_leaves_it_to_the_next(sqlite_store: Store) -> None:
    lifecycle.register(sqlite_store, auto_sweep())

    def dying(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work("tiny", sqlite_store, train=fake_train, probe=dying)
    assert sqlite_store.status("tiny").probed == 0
    work("tiny", sqlite_store, train=fake_train, probe=fake_probe)
    assert_exact(sqlite_store, auto_sweep())


def test_a_probe_without_a_range_ends_the_worker_with_one_line(sqlite_store: Store) -> None:
    lifecycle.register(sqlite_store, auto_sweep())

    def hopeless(*_: Any, **__: Any) -> tuple[tuple[ProbePoint, ...], float]:
        return tuple(ProbePoint(k, "collapsed", 0.1, 10, 0.0) for k in (0.0, 1.0)), 0.1

    with pytest.raises(InputError) as caught:
        work("tiny", sqlite_store, train=fake_train, probe=hopeless)
    assert str(caught.value) == (
        "tiny: arms.l1.strength: auto: nothing is learnt without any penalty (10.0 % accuracy "
        "after the probe); look at training.learning_rate"
    )
    assert sqlite_store.records("tiny") == ()


def test_a_probe_that_fails_three_times_ends_the_worker(sqlite_store: Store) -> None:
    lifecycle.register(sqlite_store, auto_sweep())
    calls = []

    def failing(*_: Any, **__: Any) -> Any:
        calls.append(1)
        raise ValueError("no such thing")

    with pytest.raises(TrainingError, match=r"arm \w+: .*ValueError: no such thing \(3 times\)"):
        work("tiny", sqlite_store, train=fake_train, probe=failing)
    assert len(calls) == 3


def test_an_arm_that_is_added_later_gets_its_probe_too(sqlite_store: Store) -> None:
    arms: dict[str, Any] = {"dense": {}}
    first = small_sweep(arms=arms)
    lifecycle.register(sqlite_store, first)
    work("tiny", sqlite_store, train=fake_train, probe=fake_probe)
    more = small_sweep(arms={**arms, "l1": {"penalty": "l1", "strength": "auto"}})
    lifecycle.register(sqlite_store, more, extend=True)
    work("tiny", sqlite_store, train=fake_train, probe=fake_probe)
    assert_exact(sqlite_store, more)
    assert sqlite_store.status("tiny").probed == 1
