"""The size of a worker's packs: as it was told, or as it measures; and the end of memory."""

import gc
import json
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.factories import make_tasks
from support.fakes import auto_sweep, fake_probe, fake_train, small_sweep
from support.paths import ROOT
from sweeper import lifecycle, settings
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.trainers import pack_size
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.trainers.trainer import TrainingFailed
from sweeper.training.datasets import Data, load
from sweeper.training.largest_pack import SIZES
from sweeper.training.out_of_memory import free_memory, is_out_of_memory
from sweeper.types import Tick, TrialConfig, TrialResult, nothing
from sweeper.worker.worker_loop import work

GIB = 2**30
STUDY = """\
name: tiny
dataset: digits
model: mlp(8)
training: {epochs: 1, precision: float32, learning_rate: {log_uniform: [0.01, 0.2]}}
sparsification: {finetune_epochs: 1}
search: {sampler: qmc, trials: 2, in_flight: 2}
arms: {dense: {}, l1: {penalty: l1, strength: auto}}
"""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a study file and the same for NVIDIA GPUs; none are visible."""
    for name in ("SWEEPER_STORAGE", "SWEEPER_DATA", settings.SHARED_BY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(STUDY)
    Path("tf32.yaml").write_text(STUDY.replace("float32", "tf32"))
    return tmp_path


def sweeper(*words: str, **environment: str) -> tuple[int, str, str]:
    """Run a command as a process; returns exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("given", "size"), [("auto", "auto"), ("16", 16), (1, 1), ("007", 7)])
def test_a_size_of_packs_is_auto_or_a_number(given: object, size: object) -> None:
    assert pack_size.parse_pack_size(given) == size


WRONG = [0, "0", -3, "-3", "many", "", "Auto", " 4", "1.5", 1.5, 16.0, True, False, None]


@pytest.mark.parametrize("given", WRONG)
def test_any_other_size_is_refused(given: object) -> None:
    with pytest.raises(InputError) as caught:
        pack_size.parse_pack_size(given)
    shown = 0 if given == "0" else given
    assert str(caught.value) == f"pack: must be auto or a whole number >= 1, got {shown!r}"


@pytest.mark.parametrize("command", ["run tiny.yaml", "worker tiny"])
@pytest.mark.parametrize(
    ("option", "text", "line"),
    [
        ("--pack", "0", "pack: must be auto or a whole number >= 1, got 0"),
        ("--pack", "-3", "pack: must be auto or a whole number >= 1, got '-3'"),
        ("--pack", "many", "pack: must be auto or a whole number >= 1, got 'many'"),
        ("--device", "gpu", "no such device: got 'gpu'; allowed: auto, cpu, cuda, cuda:0, cuda:1, "
            "...; did you mean 'cuda'?"),
        ("--device", "cuda1", "no such device: got 'cuda1'; allowed: auto, cpu, cuda, cuda:0, "
            "cuda:1, ...; did you mean 'cuda:1'?"),
    ],
)  # fmt: skip
def test_nonsense_in_an_option_is_one_line_and_registers_nothing(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    option: str,
    text: str,
    line: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), option, text])
    assert ended.value.code == InputError.exit_code == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")
    assert not (folder / "sweeper.db").exists()


def test_no_arm_is_left_out_when_packs_are_measured() -> None:
    sweep = auto_sweep()
    found = pack_size.examples(sweep)
    assert [[term.penalty for term in one.method.terms] for one in found] == [
        [], ["l1"], ["l1", "marginal_entropy"],
    ]  # fmt: skip
    # Strengths whose ranges are not known yet hardly do anything; the rest is from the middle.
    terms = [term for one in found for term in one.method.terms]
    assert {term.strength for term in terms} == {pack_size.TYPICAL_STRENGTH}
    rates = [one.learning_rate for one in found]
    assert rates == pytest.approx([(0.01 * 0.2) ** 0.5] * 3)
    assert {one.recipe for one in found} == {sweep.recipe(0)}


def test_values_in_the_middle_of_what_is_searched_are_measured() -> None:
    dense, l1, mix = (one.method for one in pack_size.examples(small_sweep()))
    assert [l1.terms[0].strength, mix.terms[0].strength] == pytest.approx([10**-2.5] * 2)
    assert dict(mix.terms[0].hyper)["mix"] == 0.5
    assert dense.strength == 0


def machine(root: Path, available: int) -> Path:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemAvailable: {available // 1024} kB\n")
    return root


@pytest.mark.parametrize(
    ("sharing", "workers"), [(None, 1), ("", 1), ("1", 1), ("2", 2), ("64", 64)]
)
def test_workers_of_a_machine_share_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: str | None, workers: int
) -> None:
    monkeypatch.delenv(settings.SHARED_BY_VARIABLE, raising=False)
    if sharing is not None:
        monkeypatch.setenv(settings.SHARED_BY_VARIABLE, sharing)
    root = machine(tmp_path, 8 * GIB)
    assert pack_size.memory_budget("cpu", root) == int(pack_size.SHARE * 8 * GIB / workers)
    assert pack_size.memory_budget("cpu", tmp_path / "nothing is told") == int(
        pack_size.SHARE * pack_size.UNKNOWN_MEMORY / workers
    )
    assert pack_size.memory_budget("cpu", machine(tmp_path, 0)) == 0


@pytest.mark.parametrize("sharing", ["x", "0", "-1", "1.5", "two", " "])
def test_nonsense_in_the_number_of_workers_is_one_line(
    monkeypatch: pytest.MonkeyPatch, sharing: str
) -> None:
    monkeypatch.setenv(settings.SHARED_BY_VARIABLE, sharing)
    with pytest.raises(InputError) as caught:
        pack_size.memory_budget("cpu")
    line = f"SWEEPER_SHARED_BY: must be a whole number >= 1, got {sharing!r}"
    assert str(caught.value) == line


def raised(act: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        act()
    return caught.value


def refuse(error: Exception) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("free", "workers", "left"),
    [(80, 1, 64), (80, 4, 16), (20, 4, 16), (10, 4, 8), (1, 4, 0)],
)
def test_workers_of_one_gpu_have_equal_parts_whoever_was_first(
    monkeypatch: pytest.MonkeyPatch, free: int, workers: int, left: int
) -> None:
    monkeypatch.setenv(settings.SHARED_BY_VARIABLE, str(workers))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * GIB, 80 * GIB))
    assert pack_size.memory_budget("cuda:0") == max(0, left * GIB - pack_size.RESERVE)


def capturing() -> None:
    """Fail as the end of a capture does after memory ran out within."""
    try:
        torch.empty(2**50, dtype=torch.uint8)
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


@pytest.mark.parametrize(
    "act",
    [
        lambda: torch.empty(2**50, dtype=torch.uint8),  # PyTorch's own words
        lambda: torch.ones(3).expand(2**48, 3).contiguous(),
        lambda: np.empty(2**50, dtype=np.uint8),
        lambda: bytearray(2**60),
        refuse(MemoryError()),
        refuse(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        refuse(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be")),
        refuse(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")),
        refuse(RuntimeError("std::bad_alloc")),
        refuse(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
        refuse(RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED")),
        refuse(RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED")),
        refuse(
            RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(h)`")
        ),
        refuse(RuntimeError("GET was unable to find an engine to execute this computation")),
        refuse(RuntimeError("FIND was unable to find an engine to execute this computation")),
        refuse(RuntimeError("CUDA driver error: out of memory")),
        refuse(torch.AcceleratorError("CUDA error: out of memory")),
        capturing,
    ],
)
def test_memory_that_ran_out_is_told_apart(act: Callable[[], object]) -> None:
    assert is_out_of_memory(raised(act))


@pytest.mark.parametrize(
    "act",
    [
        lambda: torch.ones(2) @ torch.ones(3),
        lambda: torch.ones(2**31, 2**31, 2**31),
        refuse(RuntimeError("CUDA error: an illegal memory access was encountered")),
        refuse(RuntimeError("CUDA driver error: unknown error")),
        refuse(RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasSgemm`")),
        refuse(RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR")),
        refuse(RuntimeError("out of memory for a moment")),
        refuse(RuntimeError("caught std::bad_alloc in a worker")),
        refuse(ValueError("DefaultCPUAllocator: can't allocate memory")),
        refuse(OSError(12, "Cannot allocate memory")),
        refuse(RuntimeError()),
    ],
)
def test_other_failures_are_no_lack_of_memory(act: Callable[[], object]) -> None:
    assert not is_out_of_memory(raised(act))


def test_lack_of_memory_is_known_and_set_free_without_loading_torch() -> None:
    code = """
import sys
from sweeper.training.out_of_memory import free_memory, is_out_of_memory
free_memory()
assert is_out_of_memory(MemoryError()) and is_out_of_memory(RuntimeError("std::bad_alloc"))
assert not is_out_of_memory(RuntimeError("CUDA")) and "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_only_holds_itself_is_set_free() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself, self.large = self, torch.zeros(1000)

    gc.disable()
    gc.freeze()  # what other tests have left behind is not looked at
    try:
        seen = weakref.ref(Cycle())
        assert seen() is not None
        free_memory()
        assert seen() is None
    finally:
        gc.unfreeze()
        gc.enable()


def narrow(most: int, packs: list[int]) -> Callable[..., list[TrialResult]]:
    """Return training for whose larger packs there is really no memory."""

    def train(
        configs: Sequence[TrialConfig], data: object, device: str, **options: Any
    ) -> list[TrialResult]:
        packs.append(len(configs))
        if len(configs) > most:
            torch.empty(2**50, dtype=torch.uint8)
        return fake_train(configs, data, device, **options)

    return train


def test_packs_are_halved_for_good_when_memory_runs_out() -> None:
    sweep, said, packs = small_sweep(), list[str](), list[int]()
    trainer = PackTrainer(sweep, pack=8, train=narrow(2, packs), on_event=said.append)
    configs = [
        sweep.config("l1", 0, k, {"strength": 1e-3, "learning_rate": 0.01 * k}) for k in range(1, 8)
    ]
    assert trainer.train(make_tasks(sweep, configs), nothing) == [
        result for k in (0, 2, 4, 6) for result in fake_train(configs[k : k + 2])
    ]
    assert (packs, trainer.pack) == ([7, 4, 2, 2, 2, 1], 2)
    assert said == [
        "cpu: out of memory with a pack of 7: packs of 4 from now on",
        "cpu: out of memory with a pack of 4: packs of 2 from now on",
    ]
    assert len(trainer.train(make_tasks(sweep, configs), nothing)) == 7
    assert packs[6:] == [2, 2, 2, 1]


def test_shares_of_halves_are_shares_of_the_whole() -> None:
    def train(
        configs: Sequence[TrialConfig], data: object, device: str, /, *, tick: Tick
    ) -> list[TrialResult]:
        tick(0.0)
        tick(0.5)
        if len(configs) > 2:
            torch.empty(2**50, dtype=torch.uint8)
        tick(1.0)
        tick()
        return fake_train(configs)

    shares: list[float | None] = []

    def tick(share: float | None = None, /) -> None:
        shares.append(share)

    sweep = small_sweep()
    trainer = PackTrainer(sweep, pack=4, train=train, on_event=lambda _: None)
    configs = [sweep.config("l1", 0, k, {"strength": 1e-3, "learning_rate": 0.1}) for k in range(4)]
    trainer.train(make_tasks(sweep, configs), tick)
    first, second = [0.0, 0.25, 0.5, None], [0.5, 0.75, 1.0, None]
    assert shares == [0.0, 0.5, *first, *second]


def test_memory_for_a_single_network_is_not_found_by_halving() -> None:
    def probe(config: TrialConfig, data: object, **options: Any) -> Any:
        torch.empty(2**50, dtype=torch.uint8)
        return fake_probe(config, data, **options)

    sweep = auto_sweep()
    trainer = PackTrainer(sweep, pack=2, train=narrow(0, []), probe=probe, on_event=lambda _: None)
    [one, *_] = pack_size.examples(sweep)
    with pytest.raises(TrainingFailed, match=r"^out of memory on cpu with a single network \(Run"):
        trainer.train(make_tasks(sweep, [one, one]), nothing)
    with pytest.raises(
        TrainingFailed, match="out of memory on cpu with the 16 networks of a probe"
    ):
        trainer.probe(one, nothing)


def real(**changes: Any) -> Sweep:
    return auto_sweep(model="mlp(8)", **changes)


def test_a_worker_measures_its_packs(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.SHARED_BY_VARIABLE, raising=False)
    said: list[str] = []
    trainer = PackTrainer(real(), device="cpu", data=digits, on_event=said.append)
    assert trainer.pack in SIZES["cpu"]
    assert trainer.pack > 1  # of networks as small as these one alone never is as fast
    [line] = said
    assert re.fullmatch(rf"packs of {trainer.pack}: \S+ ms a step and network, \d+ MB", line)
    monkeypatch.setenv(settings.SHARED_BY_VARIABLE, str(2**40))  # which leaves some bytes for each
    assert PackTrainer(real(), device="cpu", data=digits, on_event=said.append).pack == 1
    assert said[-1].startswith("packs of 1: ")


def test_a_worker_that_was_told_measures_nothing(digits: Data) -> None:
    said: list[str] = []
    told = PackTrainer(real(), device="cpu", pack=5, data=digits, on_event=said.append)
    other = PackTrainer(real(), train=fake_train, data=digits, on_event=said.append)
    assert (told.pack, other.pack, said) == (5, pack_size.DEFAULT, [])


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("raise ValueError('too large')", "ValueError: too large"),
        ("torch.empty(2**50)", "RuntimeError: .*DefaultCPUAllocator: .*"),
    ],
)
def test_packs_that_cannot_be_measured_are_of_the_usual_size(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, told: str
) -> None:
    # The formula works where it is tried before, on small matrices.
    text = f"import torch\ndef f(weight):\n    if weight.shape[2] > 60: {act}\n"
    (tmp_path / "own_formula.py").write_text(f"{text}    return weight.abs().sum(-1).sum(-1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_formula", raising=False)
    arms = {"own": {"penalty": "own_formula:f", "apply": "loss", "strength": 1e-3}}
    sweep, said = small_sweep(arms=arms, model="mlp(8)"), list[str]()
    trainer = PackTrainer(sweep, device="cpu", data=digits, on_event=said.append)
    assert trainer.pack == pack_size.DEFAULT
    assert re.fullmatch(f"packs of 16: no other size could be measured: {told}", said[0])


def test_a_gpu_that_is_not_here_is_one_line(folder: Path) -> None:
    line = r"no such device: got '%s'; here: auto, cpu( \(this torch is built without CUDA\))?\n"
    code, out, err = sweeper("run", "tiny.yaml", "--device", "cuda", "--workers", "1")
    assert code == 2
    assert re.fullmatch("error: " + line % "cuda", err)
    assert "Traceback" not in out + Path("sweeps/tiny/logs/worker-0.log").read_text()
    code, out, err = sweeper("worker", "tiny", "--device", "cuda:1")
    assert (code, out) == (2, "")
    assert re.fullmatch("error: " + line % "cuda:1", err)


def test_nonsense_about_other_workers_ends_a_worker_with_one_line(
    folder: Path, sqlite_url: str
) -> None:
    store = Store(sqlite_url)
    lifecycle.register(store, Sweep.load(folder / "tiny.yaml"))
    store.close()
    found = sweeper("worker", "tiny", "--storage", sqlite_url, SWEEPER_SHARED_BY="x")
    line = "error: SWEEPER_SHARED_BY: must be a whole number >= 1, got 'x'\n"
    assert found == (2, "", line)


TF32 = (
    "training.precision: tf32 exists on NVIDIA GPUs only, this worker is on cpu; "
    "allowed here: float32"
)


def test_tf32_on_a_cpu_ends_a_run_at_once_with_one_line(folder: Path) -> None:
    code, out, err = sweeper("run", "tf32.yaml", "--device", "cpu", "--workers", "1")
    assert (code, err) == (2, f"error: {TF32}\n")
    log = Path("sweeps/tiny/logs/worker-0.log").read_text()
    assert log == f"error: {TF32}\n"
    assert "Traceback" not in out
    status = json.loads(sweeper("status", "tiny", "--json")[1])
    assert status["state"] == "open"
    assert [(arm["done"], arm["claimed"], arm["failures"]) for arm in status["arms"]] == [
        (0, 0, {}),
        (0, 0, {}),
    ]


def test_tf32_on_a_cpu_is_not_tried_again_by_a_worker_that_measures_nothing(
    folder: Path, sqlite_url: str, digits: Data
) -> None:
    # The arm without a range to find first: it fails in training, not in a probe.
    text = Path("tf32.yaml").read_text().replace(", l1: {penalty: l1, strength: auto}", "")
    Path("tf32.yaml").write_text(text)
    store, said = Store(sqlite_url), list[str]()
    lifecycle.register(store, Sweep.load(folder / "tf32.yaml"))
    with pytest.raises(InputError) as caught:
        work("tiny", store, device="cpu", pack=2, data=digits, on_event=said.append)
    assert str(caught.value) == TF32
    assert not [line for line in said if "failed" in line]
    [arm] = store.status("tiny").arms
    # Each of its two slots was held once, and given back.
    assert (arm.done, arm.claimed, arm.failures) == (0, 0, {"given back": 2})
    store.close()
