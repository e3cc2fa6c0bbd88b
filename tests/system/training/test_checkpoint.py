"""Networks as files beside their trials, and judged again from them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.artifacts import get_all_artifact_meta, upload_artifact
from safetensors.torch import load_file, save

from support.commands import finish, main_ok, sweeper
from support.dashboard_server import filled, running
from support.http_client import ask
from support.packs import config, penalty, small_images
from support.processes import LONG
from sweeper.errors import InputError
from sweeper.search.artifacts import artifact_store, upload
from sweeper.store import Store
from sweeper.training.checkpoint import from_safetensors, to_safetensors
from sweeper.training.pack import train_pack
from sweeper.training.re_evaluation import re_evaluate

STUDY = """
name: tiny
dataset: digits
model: mlp(24)
training: {epochs: 2, batch_size: 64, learning_rate: {log_uniform: [0.02, 0.3]}}
sparsification: {track: TRACK, density: {log_uniform: [0.02, 0.5]}, finetune_epochs: 1, floor: 0.2}
search: {sampler: qmc, trials: 4, repeats: 2}
targets: {accuracy: [0.7], nonzero: [200, 1800]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-3, 1e-2]}}
"""


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_what_is_written_is_read_to_the_last_bit(values: list[float], kept: list[bool]) -> None:
    weight = torch.tensor(values).reshape(3, 4) * torch.tensor(kept).reshape(3, 4)
    network = {"0.weight": weight, "0.bias": torch.tensor(values[:3])}
    back = from_safetensors(to_safetensors(network, {"study": "a/b/0"}), "a file")
    assert list(back) == list(network)
    for name, value in network.items():
        # -0.0 is a weight that is 0, and may come back as 0.0.
        assert torch.equal(back[name], value)
        assert back[name].dtype == value.dtype


def test_a_sparse_network_takes_no_more_than_its_weights() -> None:
    weight = torch.zeros(300, 784)
    weight[::10, ::100] = 1.5
    content = to_safetensors({"0.weight": weight, "0.bias": torch.ones(300)}, {})
    assert len(content) < 8 * int(weight.count_nonzero()) + 4 * 300 + 1000


@pytest.mark.parametrize("track", ["pruned", "as_trained"])
def test_kept_networks_are_those_that_were_judged(track: Any) -> None:
    data = small_images()
    configs = [
        config(k, arm, track=track, floor=0.0)
        for k, arm in enumerate(
            [
                penalty("joint_entropy", "loss"),
                penalty("l1", "prox"),
                penalty("joint_entropy", "loss"),
            ]
        )
    ]
    kept: dict[int, Any] = {}
    results = train_pack(configs, data, keep=lambda place, network: kept.update({place: network}))
    assert sorted(kept) == list(range(len(configs)))
    for place, (one, result) in enumerate(zip(configs, results, strict=True)):
        network = from_safetensors(to_safetensors(kept[place], {}), "a file")
        assert re_evaluate(one, network, data) == result.judged(track)


def test_a_network_that_diverged_is_not_kept() -> None:
    data = small_images()
    wild = [config(0, penalty("l1", "prox"), learning_rate=1e9)]
    kept: dict[int, Any] = {}
    (result,) = train_pack(wild, data, keep=lambda place, network: kept.update({place: network}))
    assert result.state == "diverged"
    assert kept == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense" * 20,
        save({"a": torch.ones(2)}),
        save({"a": torch.ones(2)}, {"shapes": "["}),
    ],
)
def test_a_file_that_is_no_network_is_one_line(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^some trial: holds no network of sweeper: [^\n]+$"):
        from_safetensors(content, "some trial")


@pytest.mark.parametrize(
    "shapes",
    ["{", "[]", "5", '{"a": 5}', '{"b": [2]}', '{"a": [-1]}', '{"a": ["x"]}', '{"a": [1e99]}',
     '{"a": [1000000, 1000000, 1000000]}', '{"a": [1]}', "[" * 100_000],
)  # fmt: skip
def test_shapes_that_make_no_sense_are_one_line(shapes: str) -> None:
    """A network may come from anybody: `verify` is there to tell what is wrong with it."""
    parts = {"a.indices": torch.tensor([5], dtype=torch.int32), "a.values": torch.ones(1)}
    with pytest.raises(InputError, match=r"^x: holds no network of sweeper: ") as refused:
        from_safetensors(save(parts, {"shapes": shapes}), "x")
    assert len(str(refused.value).splitlines()) == 1


def test_a_network_of_another_architecture_is_refused() -> None:
    with pytest.raises(InputError, match=r"^the network is no "):
        re_evaluate(config(), {"0.weight": torch.ones(2, 2)}, small_images())


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "ftp://bucket",
            "artifacts: must be a folder, s3://BUCKET or gs://BUCKET, got 'ftp://buck",
        ),
        ("s3://", "artifacts: must be a folder"),
        ("s3://bucket/folder", "artifacts: must be a folder"),
        ("s3://bucket", "artifacts: s3:// needs boto3: pip install it"),
        ("gs://bucket", "artifacts: gs:// needs google-cloud-storage: pip install it"),
        ("/proc/nowhere", "artifacts: /proc/nowhere: cannot be written: "),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(
    place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("boto3", "google.cloud.storage"):  # not installed here, perhaps
        monkeypatch.setitem(sys.modules, library, None)

    def missing(*_: object) -> None:
        raise ImportError

    monkeypatch.setattr("sweeper.search.artifacts.Boto3ArtifactStore", missing)
    monkeypatch.setattr("sweeper.search.artifacts.GCSArtifactStore", missing)
    with pytest.raises(InputError, match=re.escape(said)):
        artifact_store(place)


def test_a_dashboards_folder_of_networks_may_come_later(tmp_path: Path) -> None:
    """As on its read-only mount, before the first network is kept."""
    assert artifact_store("/proc/nowhere", may_come=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be written: "):
        artifact_store(str(tmp_path / "file"), may_come=True)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished search, by a real training."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "study.yaml").write_text(STUDY.replace("TRACK", "pruned"), encoding="utf-8")
    finish(sweeper(folder, "run", "study.yaml", "--workers", "1", "--no-report"))
    return folder


@pytest.mark.slow
def test_confirmed_networks_are_kept_and_verified_though_a_worker_dies(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{searched}/sweeper.db"
    kept = searched / "networks"
    confirm = ["confirm", "tiny", "--seeds", "3", "--pack", "2", "--artifacts", str(kept)]
    launcher = sweeper(searched, *confirm, "--workers", "1")
    with closing(Store(url)) as store:
        _kill_a_worker(store, launcher)
        finish(launcher)
        facts = store.records("tiny/confirmed")
        assert len(facts) == store.status("tiny/confirmed").budget
    for fact in facts:
        judged = fact.result.judged("pruned")
        name = f"{fact.slot.arm}-{fact.slot.repeat}-trial-{fact.trial:04}-"
        name += f"{judged.nonzero if judged else 0}-nonzero.safetensors"
        assert (kept / fact.slot.study / name).exists()
    verify = ["verify", "tiny", "--artifacts", str(kept)]
    assert f"tiny: {len(facts)} networks as on record" in finish(sweeper(searched, *verify))
    _carry_elsewhere(searched, kept, len(facts), capsys)

    # One is lost, another one is changed by a single weight.
    lost, changed = sorted(kept.rglob("*.safetensors"), key=lambda file: file.stat().st_mtime)[-2:]
    network = load_file(changed)
    first = next(name for name in network if name.endswith(".values"))
    network[first][0] = 0.0
    content = changed.read_bytes()
    size = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + size])["__metadata__"]
    changed.write_bytes(save(network, told))
    lost.unlink()
    process = sweeper(searched, *verify)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 1, out
    assert f"{len(facts) - 2} networks as on record, 1 differ, 1 without weights at" in out
    assert "nonzero: recorded" in " ".join(out.split())


def _carry_elsewhere(
    searched: Path, kept: Path, all_: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export with the networks of one seed, then with all; verify them in another database."""
    new, out = searched / "new", str(searched / "export")
    export = ["export", "tiny", "--storage", f"sqlite:///{searched}/sweeper.db", "--out", out]
    export += ["--artifacts", str(kept)]
    place = ["--storage", f"sqlite:///{new}.db", "--artifacts", str(new)]

    def said(*words: str) -> str:
        main_ok(*words)
        return capsys.readouterr().out

    assert "networks.parquet" in said(*export, "--seeds", "1")
    found = said("restore", out, *place)
    assert f"tiny/confirmed: {all_ // 3} networks restored to" in found
    found = said("verify", "tiny", *place)
    assert f"tiny: {all_ // 3} networks as on record, {all_ - all_ // 3} never kept" in found
    said(*export)
    found = said("restore", out, *place[:2])
    assert "there are networks too: --artifacts says where they are to be kept" in found
    assert f"{all_} networks restored" in said("restore", out, *place)
    assert f"tiny: {all_} networks as on record\n" in said("verify", "tiny", *place)
    restored = list(new.rglob("*.safetensors"))
    assert len(restored) == all_  # a worker that died may have left more than that
    for file in restored:
        assert file.read_bytes() == (kept / file.relative_to(new)).read_bytes()


def _kill_a_worker(store: Store, launcher: "subprocess.Popen[str]") -> None:
    """Kill -9 a worker that has networks on record already."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        time.sleep(0.05)
        assert launcher.poll() is None, launcher.communicate()
        try:
            status = store.status("tiny/confirmed")
        except Exception:  # not registered yet
            continue
        busy = [one for one in status.workers if one.alive and one.slots]
        if status.done and busy:
            os.kill(busy[0].pid, signal.SIGKILL)
            return
    raise AssertionError("no worker trained")


@pytest.mark.slow
def test_what_cannot_be_verified_is_one_line(searched: Path) -> None:
    for options, said in (
        (
            ["tiny"],
            "error: --artifacts: say where `sweeper confirm --artifacts PLACE` has put them",
        ),
        (
            ["nobody", "--artifacts", "x"],
            "error: nobody: nothing is confirmed yet: sweeper confirm",
        ),
    ):
        process = sweeper(searched, "verify", *options)
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 2
        assert said in out
        assert len(out.splitlines()) == 1


def test_the_dashboard_gives_files_away_and_lets_nobody_change_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, place = filled(tmp_path), tmp_path / "networks"
    study = optuna.load_study(study_name="toy", storage=store.url)
    trial = study.ask()
    folder = artifact_store(str(place))
    frozen = study._storage.get_trial(trial._trial_id)
    upload(folder, study._storage, frozen, "toy/l1/0/network.safetensors", b"weights")
    (tmp_path / "a.txt").write_bytes(b"a user's own")
    upload_artifact(artifact_store=folder, file_path=str(tmp_path / "a.txt"), study_or_trial=trial)
    study.tell(trial, (1.0, 2.0))
    ids = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(trial)}
    others = ids.pop("a.txt")
    [network] = ids.values()
    with running(store, monkeypatch, artifacts=str(place)) as url:
        for known, text in ((network, "weights"), (others, "a user's own")):
            path = f"/artifacts/1/{trial._trial_id}/{known}"
            reply = ask(url, "GET", path)
            assert (reply.status, reply.text) == (200, text)
            assert ask(url, "DELETE", f"/api{path}").status == 403
        assert ask(url, "POST", f"/api/artifacts/1/{trial._trial_id}", {}, "{}").status == 403
    assert {path.name for path in place.iterdir()} == {".ids", "toy", others}
    assert (place / "toy/l1/0/network.safetensors").read_bytes() == b"weights"
