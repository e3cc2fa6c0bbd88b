"""Workers as processes, and the exact budget that they must leave."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from support.fakes import fake_result, optuna_study
from support.paths import ROOT, SUPPORT
from support.processes import LONG
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store

LEASE = 2.0
"""Seconds of the leases of workers that are killed."""


@contextmanager
def worker_process(
    url: str, *options: str, name: str = "tiny", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a worker as a process of its own, and leave none behind."""
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "fakes.py"), name, *options],
        env={**os.environ, "SWEEPER_STORAGE": url, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def claimed(store: Store) -> int:
    return sum(arm.claimed for arm in store.status("tiny").arms)


def facts(store: Store) -> list[tuple[Any, ...]]:
    """What must not depend on who worked: trial numbers and sizes of packs do."""
    return [
        (*one.slot.place, one.params, one.config, replace(one.result, pack=1))
        for one in store.records("tiny")
    ]


def states(store: Store, arm: str = "l1") -> dict[str, int]:
    study = optuna_study(store.url, f"tiny/{arm}/0")
    found = [trial.state.name for trial in study.trials]
    return {state: found.count(state) for state in set(found)}


def assert_exact(store: Store, sweep: Sweep) -> None:
    """Every slot has one fact and one told trial; nothing is left running."""
    assert store.finished("tiny")
    found = [one.slot.place for one in store.records("tiny")]
    arms = [
        (arm, repeat, slot)
        for arm in sweep.arms
        for repeat in range(sweep.search.repeats)
        for slot in range(sweep.search.trials)
    ]
    assert found == arms
    assert claimed(store) == 0
    assert store.unreported("tiny") == ()
    for arm in sweep.arms:
        counts = states(store, arm)
        assert counts.get("RUNNING", 0) == 0
        assert counts.get("COMPLETE", 0) + counts.get("PRUNED", 0) == sweep.search.trials
    for one in store.records("tiny"):
        study = optuna_study(store.url, one.slot.study)
        told = study.trials[one.trial]
        assert told.user_attrs["slot"] == one.slot.number
        assert told.params == one.params
        judged = one.result.pruned if one.result.state == "complete" else None
        assert told.values == ([judged.nonzero, judged.val_accuracy] if judged else None)


@contextmanager
def workers(url: str, count: int, *options: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Start workers that train without torch; none is left behind."""
    started = [
        subprocess.Popen(
            [sys.executable, str(SUPPORT / "fakes.py"), "tiny", "--lease", str(LEASE), *options],
            env={**os.environ, "SWEEPER_STORAGE": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def ended(processes: list[subprocess.Popen[str]], seconds: float = LONG) -> list[str]:
    """Wait until all have ended well, and return what they wrote."""
    said = []
    for process in processes:
        text, _ = process.communicate(timeout=seconds)
        assert process.returncode == 0, text
        said.append(text)
    return said


def registered(url: str, sweep: Sweep) -> Store:
    store = Store(url)
    lifecycle.register(store, sweep)
    return store


def has(store: Store, trials: int) -> bool:
    return store.status("tiny").done >= trials


def assert_exact_records(store: Store, sweep: Sweep) -> None:
    """Each slot has its one record, which is right, and Optuna is told the same of each."""
    for record in store.records(sweep.name):
        expected = fake_result(record.config)
        assert (record.result.state, record.result.pruned) == (expected.state, expected.pruned)
    lifecycle.recover(store, sweep.name)
    assert_exact(store, sweep)
