"""Networks out of finished sweeps: chosen, written, loaded, and as accurate as on record."""

import json
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits
from torch import Tensor

from sweeper import load_network
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError, SweeperError
from sweeper.lifecycle import register
from sweeper.operations.stored_network import find_network
from sweeper.store import Store
from sweeper.types import Evaluation, TrialRecord
from sweeper.worker.worker_loop import work

COMMON = {
    "dataset": "digits",
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": {"log_uniform": [0.05, 0.2]}},
    "sparsification": {"density": {"log_uniform": [0.1, 0.5]}, "finetune_epochs": 1, "floor": 0.1},
    "search": {"sampler": "qmc", "trials": 2},
    "targets": {"nonzero": [800, 5000]},
    "arms": {"dense": {}, "l1": {"penalty": "l1", "strength": 1e-4}},
}


@dataclass(frozen=True)
class Kept:
    """Two confirmed sweeps: of an MLP, and of a network with batch norm."""

    url: str
    artifacts: str
    folder: Path

    @property
    def at(self) -> dict[str, Any]:
        return {"storage": self.url, "artifacts": self.artifacts}

    @property
    def options(self) -> list[str]:
        return ["--storage", self.url, "--artifacts", self.artifacts]

    def records(self, name: str) -> tuple[TrialRecord, ...]:
        with closing(Store(self.url)) as store:
            return store.records(f"{name}/confirmed")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("out")
    url, artifacts = f"sqlite:///{folder}/sweeper.db", str(folder / "networks")
    with closing(Store(url)) as store:
        for name, model in (("plain", "mlp(16)"), ("normed", "convnet(4, 8)")):
            sweep = Sweep.model_validate({"name": name, "model": model, **COMMON})
            confirmed(store, sweep, artifacts)
    return Kept(url, artifacts, folder)


def confirmed(store: Store, sweep: Sweep, artifacts: str | None) -> None:
    """Search and confirm a sweep, with real trainings."""
    register(store, sweep)
    work(sweep.name, store, device="cpu", pack=2)
    records = store.records(sweep.name)
    again = confirmation_sweep(sweep, store.status(sweep.name), records, seeds=2)
    register(store, again)
    work(again.name, store, device="cpu", pack=4, artifacts=artifacts)


def raw_test_digits() -> tuple[Tensor, Tensor]:
    """The test part as scikit-learn has it: pixels from 0 to 16, every fifth image."""
    bundle = load_digits()
    pictures = torch.from_numpy(bundle.images[::5, None]).to(torch.uint8)
    return pictures, torch.from_numpy(bundle.target[::5])


def judged(record: TrialRecord) -> Evaluation:
    evaluation = record.result.judged("pruned")
    assert evaluation is not None
    return evaluation


def name_of(record: TrialRecord) -> str:
    return f"{record.slot.study}#{record.trial}"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    output = capsys.readouterr()
    assert ended.value.code == 0, output
    return " ".join(output.out.split())


@pytest.mark.parametrize("name", ["plain", "normed"])
def test_raw_pictures_are_labelled_with_the_accuracy_on_record(
    kept: Kept, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, labels = raw_test_digits()
    for record in kept.records(name):
        expected = round(judged(record).test_accuracy * len(labels))
        network = load_network(name, **kept.at, trial=name_of(record), normalise=True)
        right = network(pictures).argmax(1) == labels
        assert int(right.sum()) == expected
        file = tmp_path / "net.safetensors"
        told(capsys, "network", name, "--trial", name_of(record), "--out", str(file), *kept.options)
        again = load_network(file, normalise=True)
        assert torch.equal(again(pictures), network(pictures))
        place = Path(kept.artifacts, record.slot.study)
        size = judged(record).nonzero
        (own,) = place.glob(f"*-trial-{record.trial:04}-{size}-nonzero.safetensors")
        assert torch.equal(load_network(own, normalise=True)(pictures), network(pictures))


@pytest.mark.parametrize("ending", [".pt2", ".onnx"])
def test_programs_label_raw_pictures_with_the_accuracy_on_record(
    kept: Kept, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    file = tmp_path / f"net{ending}"
    told(capsys, "network", "normed", "--arm", "l1", "--raw", "--out", str(file), *kept.options)
    pictures, labels = raw_test_digits()
    if ending == ".pt2":
        logits = torch.export.load(file).module()(pictures.float())
    else:
        session = onnxruntime.InferenceSession(file.read_bytes())
        [logits] = session.run(None, {"examples": pictures.float().numpy()})
    with closing(Store(kept.url)) as store:
        chosen = find_network(store, "normed", kept.artifacts, arm="l1")
    right = torch.as_tensor(logits).argmax(1) == labels
    assert int(right.sum()) == round(chosen.evaluation.test_accuracy * len(labels))


@pytest.mark.parametrize("arm", ["", "dense", "l1"])
@pytest.mark.parametrize("at", [None, 400, 700, 100_000])
def test_the_best_on_validation_within_a_size_is_chosen(
    kept: Kept, arm: str, at: int | None
) -> None:
    # Oracle: a sort of all records.
    within = [
        record
        for record in kept.records("plain")
        if (not arm or record.slot.arm == arm) and judged(record).nonzero <= (at or 10**9)
    ]
    within.sort(
        key=lambda one: (-judged(one).val_accuracy, judged(one).nonzero, *one.slot.place[1:])
    )
    with closing(Store(kept.url)) as store:
        if not within:
            with pytest.raises(InputError, match="has no network within"):
                find_network(store, "plain", kept.artifacts, arm=arm, at=at)
            return
        chosen = find_network(store, "plain/confirmed", kept.artifacts, arm=arm, at=at)
    best = judged(within[0])
    assert (chosen.evaluation.val_accuracy, chosen.evaluation.nonzero) == (
        best.val_accuracy,
        best.nonzero,
    )
    assert chosen.preferred == 0


def test_the_command_says_which_network_it_is_and_so_does_the_file(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.safetensors"
    said = told(capsys, "network", "plain", "--arm", "l1", "--out", str(file), *kept.options)
    with closing(Store(kept.url)) as store:
        chosen = find_network(store, "plain", kept.artifacts, arm="l1")
    found = chosen.evaluation
    assert f"{chosen.name}: {found.nonzero:,} of 1,210 parameters are not 0" in said
    assert f"validation {100 * found.val_accuracy:.2f} %" in said
    assert f"test {100 * found.test_accuracy:.2f} %" in said
    assert f"wrote {file}" in said
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
        names = set(opened.keys())
    assert names == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert metadata["study"] == chosen.record.slot.study
    assert (metadata["arm"], metadata["trial"]) == ("l1", str(chosen.record.trial))
    assert metadata["val_accuracy"] == str(found.val_accuracy)
    assert json.loads(metadata["normalisation"]).keys() == {"mean", "deviation"}


def test_better_networks_that_are_not_kept_are_said(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(kept.url)) as store:
        best = find_network(store, "plain", kept.artifacts)
    file = _file_of(kept, best.record)
    content = file.read_bytes()
    file.unlink()
    try:
        out = str(tmp_path / "net.safetensors")
        said = told(capsys, "network", "plain", "--out", out, *kept.options)
        assert "warning: 1 network would be chosen before this one, but nothing is kept" in said
        with pytest.raises(InputError, match=rf"^{best.name}: no network of it is kept at .*confi"):
            load_network("plain", **kept.at, trial=best.name)
    finally:
        file.write_bytes(content)


def _file_of(kept: Kept, record: TrialRecord) -> Path:
    (file,) = Path(kept.artifacts, record.slot.study).glob(f"*-trial-{record.trial:04}-*")
    return file


def test_old_results_get_their_normalisation_from_the_dataset(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are committed were recorded without it."""
    pictures, _ = raw_test_digits()
    with closing(Store(kept.url)) as store:
        chosen = find_network(store, "plain", kept.artifacts)
    expected = chosen.module(chosen.description(raw=True), raw=True)(pictures)
    provenance = replace(chosen.record.provenance, normalisation=None)
    old = replace(chosen, record=replace(chosen.record, provenance=provenance))
    assert torch.equal(old.module(old.description(raw=True), raw=True)(pictures), expected)
    elsewhere = replace(provenance, data_hash="of other images")
    other = replace(chosen, record=replace(chosen.record, provenance=elsewhere))
    assert other.description().takes_raw is None
    with pytest.raises(InputError, match="was trained on another digits than the one that is here"):
        other.description(raw=True)
    monkeypatch.setattr("sweeper.training.datasets.is_here", lambda *_: False)
    assert old.description().takes_raw is None


@pytest.fixture
def unconfirmed(tmp_path: Path) -> str:
    """The URL of a storage with a sweep that nobody has confirmed."""
    url = f"sqlite:///{tmp_path}/new.db"
    with closing(Store(url)) as store:
        register(store, Sweep.model_validate({"name": "new", "model": "mlp(16)", **COMMON}))
    return url


def test_without_kept_networks_the_command_that_keeps_them_is_named(
    kept: Kept, unconfirmed: str, tmp_path: Path
) -> None:
    keeps = r"`sweeper confirm {} --artifacts PLACE` "
    with pytest.raises(InputError, match=r"^new: no network of it is kept: " + keeps.format("new")):
        load_network("new", unconfirmed)
    empty = str(tmp_path / "empty")
    with pytest.raises(InputError, match=r"^plain, l1: no network.*" + keeps.format("plain")):
        load_network("plain", kept.url, arm="l1", artifacts=empty)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("plain", ["--arm", "l2"], "plain: no such arm: got 'l2'; allowed: dense, l1"),
        ("plain", ["--at", "3"], "plain: has no network within 3 nonzero parameters"),
        ("plain", ["--trial", "x"], "trial: must be STUDY#NUMBER, got 'x'"),
        ("plain", ["--trial", "plain/l1/confirmed#99"], "plain/l1/confirmed has no 99"),
        ("plain", ["--trial", "plain/l/confirmed#0"], "did you mean 'plain/l1/confirmed'?"),
        ("plain", ["--trial", "a#1", "--arm", "l1"], "it goes together with no arm and no size"),
        ("nobody", [], "nobody"),
        ("plain", ["--out", "net.h5"], "net.h5: ends otherwise: got '.h5'; allowed: .onnx"),
        ("plain", ["--raw"], "sweeper.load_network(FILE, normalise=True) puts them first"),
        ("plain", ["--artifacts", "ftp://x"], "artifacts: must be a folder, s3://BUCKET"),
    ],
)
def test_what_cannot_be_given_out_is_one_line(
    kept: Kept,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    said: str,
) -> None:
    out = tmp_path / "net.safetensors"
    with pytest.raises(SystemExit) as ended:
        main(["network", name, "--out", str(out), *kept.options, *options])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not out.exists()


def test_without_a_place_the_error_says_so(
    kept: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWEEPER_ARTIFACTS", raising=False)
    with pytest.raises(SweeperError, match=r"^--artifacts: say where `sweeper confirm"):
        load_network("plain", kept.url)
    monkeypatch.setenv("SWEEPER_ARTIFACTS", kept.artifacts)
    assert load_network("plain", kept.url).training is False
