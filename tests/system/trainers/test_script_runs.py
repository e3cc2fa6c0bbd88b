"""Functions and commands of a user's own, trained by a real worker in its own process."""

import json
from pathlib import Path

import pytest

from support.scripts import registered_script, script_folder, script_sweep
from sweeper.errors import TrainingError
from sweeper.store import Store
from sweeper.worker.worker_loop import work

FUNCTION = """
    import os, random, sys

    def train(trial):
        print("trial", trial.slot, "in", os.getpid())
        print("to the other", file=sys.stderr)
        for epoch in range(trial.params["epochs"]):
            trial.step(epoch / trial.params["epochs"])
            trial.report(epoch + 1, val_accuracy=0.5 + epoch / 10, loss=float("nan"))
        (trial.folder / "weights").write_text("1")
        return {
            "size": 10 * trial.params["epochs"],
            "validation": 0.9,
            "test": 0.8,
            "seed": trial.seed,
            "order_seed": trial.order_seed,
            "draw": random.random(),
            "attempt": trial.attempt,
        }
"""


def test_a_function_trains_the_trials_of_a_sweep(tmp_path: Path, sqlite_url: str) -> None:
    with script_folder(tmp_path, FUNCTION):
        sweep = script_sweep()
        store = registered_script(sqlite_url, sweep)
        assert work("tiny", store, device="cpu") == 4
    records = store.records("tiny")
    store.close()
    assert [record.slot.place for record in records] == [
        (arm, 0, slot) for arm in ("dense", "l1") for slot in (0, 1)
    ]
    for record in records:
        result, numbers = record.result, dict(record.result.numbers)
        assert (result.state, result.total, result.pack) == ("complete", 30, 1)
        assert result.pruned == result.as_trained
        assert result.pruned is not None
        assert (result.pruned.nonzero, result.pruned.val_accuracy) == (30, 0.9)
        assert [point.epoch for point in result.learning] == [1, 2, 3]
        assert result.learning[2].values == (("val_accuracy", 0.7),)  # NaN is no point
        assert numbers["seed"] == record.config.init_seed
        assert numbers["attempt"] == 1
        assert len(record.provenance.data_hash) == 64
    # All arms of a repeat draw alike, even where a function never seeds.
    draws = [dict(record.result.numbers)["draw"] for record in records]
    assert draws[:2] == draws[2:]
    assert draws[0] != draws[1]
    trials = tmp_path / "sweeps/tiny/trials"
    logs = [(trials / arm / slot / "output.log").read_text() for arm, slot in FOLDERS]
    assert all("to the other\n" in log for log in logs)
    printed = [line.split() for log in logs for line in log.splitlines() if "trial" in line]
    assert [words[1] for words in printed] == ["0", "1", "0", "1"]
    assert len({words[3] for words in printed}) == 1  # one process trains all
    assert (trials / "l1/0-0/weights").read_text() == "1"


def test_seeds_of_a_script_have_folders_and_trials_of_their_own(
    tmp_path: Path, sqlite_url: str
) -> None:
    with script_folder(tmp_path, FUNCTION):
        store = registered_script(sqlite_url, script_sweep(search={"trials": 1, "seeds": 2}))
        assert work("tiny", store, device="cpu") == 2
    records = store.records("tiny")
    store.close()
    assert [(r.slot.arm, r.network, r.trial) for r in records] == [
        (arm, network, network) for arm in ("dense", "l1") for network in (0, 1)
    ]
    seeds = [dict(record.result.numbers)["seed"] for record in records]
    assert seeds == [record.config.init_seed for record in records]
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]
    logs = tmp_path / "sweeps/tiny/trials"
    assert {p.parent.name for p in logs.glob("l1/*/output.log")} == {"0-0", "0-0-1"}


FOLDERS = [("dense", "0-0"), ("dense", "0-1"), ("l1", "0-0"), ("l1", "0-1")]


def test_a_command_trains_with_what_it_is_given(tmp_path: Path, sqlite_url: str) -> None:
    script = """
        echo "rate $1"
        echo '{"epoch": 1, "val_accuracy": 0.5, "note": "none"}'
        echo '{"epoch": 2, "val_accuracy": 0.6}'
        echo '{"validation": 0.1, "test": 0.1, "size": 1}'
        printf %s "$SWEEPER_PARAMS" > "$SWEEPER_FOLDER/params.json"
        printf %s "$SWEEPER_PENALTY" > "$SWEEPER_FOLDER/penalty.json"
        env > "$SWEEPER_FOLDER/env"
        printf '{"validation": 0.75, "test": 0.5, "size": 12, "watts": 3.5}'
    """
    command = ["sh", "script.sh", "{rate}"]
    with script_folder(tmp_path, script, "script.sh"):
        store = registered_script(sqlite_url, script_sweep(command=command))
        assert work("tiny", store, device="cpu") == 4
    record = store.records("tiny")[-1]
    store.close()
    assert record.result.pruned is not None
    assert record.result.pruned.val_accuracy == 0.75  # the last line counts, without a newline
    assert record.result.numbers == (("watts", 3.5),)
    assert [point.values for point in record.result.learning] == [
        (("val_accuracy", 0.5),),
        (("val_accuracy", 0.6),),
    ]
    folder = tmp_path / "sweeps/tiny/trials/l1/0-1"
    values = dict(record.config.values)
    assert (folder / "output.log").read_text().startswith(f"rate {values['rate']}\n")
    assert json.loads((folder / "params.json").read_text()) == values
    (term,) = json.loads((folder / "penalty.json").read_text())
    assert (term["penalty"], term["strength"]) == ("l1", values["strength"])
    given = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    assert given["SWEEPER_SEED"] == str(record.config.init_seed)
    assert (given["SWEEPER_ARM"], given["SWEEPER_SLOT"]) == ("l1", "1")
    assert "SWEEPER_STORAGE" not in given


def test_a_command_may_write_its_result_to_a_file(tmp_path: Path, sqlite_url: str) -> None:
    script = """
        [ -e "$SWEEPER_FOLDER/result.json" ] && exit 7
        echo '{"validation": 0.75, "test": 0.5, "size": 12}' > "$SWEEPER_FOLDER/result.json"
        [ "$SWEEPER_ATTEMPT" = 2 ]
    """
    with script_folder(tmp_path, script, "script.sh"):
        sweep = script_sweep(command=["sh", "script.sh"], arms={"dense": {}}, search={"trials": 1})
        store = registered_script(sqlite_url, sweep)
        assert work("tiny", store, device="cpu") == 1  # the second attempt
    (record,) = store.records("tiny")
    assert record.result.pruned is not None
    assert record.result.pruned.nonzero == 12
    assert store.status("tiny").failures == {"error": 1}
    store.close()


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise ValueError('no such thing')", "ValueError: no such thing (script.py:3)"),
        ("return None", "returned None: must return a dict such as "),
        ("return {'validation': 0.5}", "size, test: required, as in "),
        (
            "return {'size': 1, 'validation': 97, 'test': 0.5}",
            "validation: must be from 0 to 1, got 97; in percent? Divide by 100",
        ),
        (
            "return {'size': 1, 'validation': float('nan'), 'test': 0.5}",
            "validation: must be from 0 to 1, got nan; a training that has diverged says so: raise "
            "sweeper.TrialDiverged",
        ),
        (
            "return {'size': -1, 'validation': 0.5, 'test': 0.5}",
            "size: must be a whole number >= 0, got -1",
        ),
    ],
)
def test_three_failures_end_a_sweep_with_one_line(
    body: str, line: str, tmp_path: Path, sqlite_url: str
) -> None:
    with script_folder(tmp_path, f"def train(trial):\n    x = 1\n    {body}\n"):
        store = registered_script(sqlite_url, script_sweep(arms={"dense": {}}))
        with pytest.raises(TrainingError) as caught:
            work("tiny", store, device="cpu")
    assert str(caught.value).startswith(f"arm dense: {line}")
    log = tmp_path / "sweeps/tiny/trials/dense/0-0/output.log"
    assert f"; output: {log}" in str(caught.value)
    assert str(caught.value).endswith("(3 times)")
    assert attempts(store) == 3
    store.close()


def attempts(store: Store) -> int:
    return sum(store.status("tiny").failures.values())
