"""Files of networks: written, read again, and read without us."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_model
from sklearn.datasets import load_digits
from torch import Tensor, nn

from support.readmes import NETWORK_FILES, blocks
from sweeper import load_network
from sweeper.errors import InputError
from sweeper.training import datasets, models
from sweeper.training.checkpoint import from_safetensors, to_safetensors
from sweeper.training.network_description import NetworkDescription
from sweeper.training.network_files import ABOUT, write_network
from sweeper.training.network_module import for_raw_examples, network_module
from sweeper.types import Normalisation

GREY = Normalisation((4.88,), (6.02,))
BUILT_IN = {"mlp": (("widths", (6, 5)),), "convnet": (("widths", (4, 6)),)}
ABOUT_IT = {"sweep": "tiny", "val_accuracy": "0.5"}


class Sentence(nn.Module):
    """Embeds whole numbers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 6)
        self.out = nn.Linear(6, classes)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.out(self.table(ids).mean(1))
        return logits


def sentence(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Sentence(classes)


class Branching(nn.Module):
    """Looks at its values, which no exported program can."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        scale = 2.0 if float(images.sum()) > 0 else 1.0
        logits: Tensor = scale * self.out(images.flatten(1))
        return logits


def branching(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Branching(classes)


@pytest.fixture(autouse=True)
def factories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `someones:sentence` be found, as a module beside a study file is."""
    monkeypatch.setitem(sys.modules, "someones", sys.modules[__name__])


def described(model: str, shape: tuple[int, ...] = (1, 8, 8), **more: Any) -> NetworkDescription:
    options: Any = BUILT_IN.get(model, ())
    usual: dict[str, Any] = {"normalisation": GREY, "takes_raw": False, "labels": ("a", "b", "c")}
    return NetworkDescription(model, options, shape, 3, **(usual | more))


def trained(description: NetworkDescription) -> nn.Module:
    """A network whose parameters and statistics are not those that it began with."""
    module = models.build(
        description.model, description.options, description.shape, description.classes, seed=7
    )
    with torch.no_grad():
        if description.model == "convnet":
            module(torch.randn(16, *description.shape))
        for value in module.parameters():
            value[torch.rand(value.shape) < 0.7] = 0.0
    return module.eval()


def state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers as a worker keeps them, those that are tied once."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: value.detach() for name, value in named}


def written(path: Path, description: NetworkDescription, *, raw: bool = False) -> nn.Module:
    module = trained(description)
    if raw:
        module = for_raw_examples(module, description, "it")
        description = description.with_raw_inputs()
    write_network(path, module, description, ABOUT_IT)
    return module


def outputs(path: Path, examples: Tensor) -> Tensor:
    """What a program of another reader gives."""
    if path.suffix == ".pt2":
        logits: Tensor = torch.export.load(path).module()(examples)
        return logits
    session = onnxruntime.InferenceSession(path.read_bytes())
    return torch.from_numpy(session.run(["logits"], {"examples": examples.numpy()})[0])


@pytest.mark.parametrize("model", [*BUILT_IN, "support.network_cases:tied"])
@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_read_is_what_was_written(tmp_path: Path, model: str, sparse: bool) -> None:
    """Parameters and buffers, from a file of either kind."""
    path, description = tmp_path / "net.safetensors", described(model)
    module = written(path, description)
    if sparse:
        path.write_bytes(to_safetensors(state(module), description.metadata()))
    back = load_network(path, trust=True)
    examples = torch.randn(5, 1, 8, 8)
    assert torch.equal(back(examples), module(examples))
    assert not back.training
    assert [value.dtype for value in back.parameters()] == [torch.float32] * len(
        list(back.parameters())
    )
    other = trained(description)
    if not sparse:
        load_model(other, path)
        assert torch.equal(other(examples), module(examples))


@pytest.mark.parametrize("ending", [".pt2", ".onnx"])
@pytest.mark.parametrize("model", list(BUILT_IN))
def test_a_program_takes_raw_examples_in_batches_of_any_size(
    tmp_path: Path, ending: str, model: str
) -> None:
    path = tmp_path / f"net{ending}"
    module = written(path, described(model), raw=True)
    for batch in (1, 2, 7):
        raw = torch.randint(0, 17, (batch, 1, 8, 8))
        expected = module(raw).detach()
        torch.testing.assert_close(outputs(path, raw.float()), expected, rtol=1e-5, atol=1e-5)
        plain = module.get_submodule("network")((raw.float() - 4.88) / 6.02)
        torch.testing.assert_close(expected, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ending", [".pt2", ".onnx"])
def test_a_network_that_embeds_takes_whole_numbers(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"net{ending}"
    module = written(path, described("someones:sentence", (9,), normalisation=None))
    ids = torch.randint(0, 20, (3, 9))
    torch.testing.assert_close(outputs(path, ids), module(ids).detach())


@pytest.mark.parametrize("ending", [".safetensors", ".pt2", ".onnx"])
def test_every_file_says_what_it_holds(tmp_path: Path, ending: str) -> None:
    path, description = tmp_path / f"net{ending}", described("mlp")
    written(path, description)
    if ending == ".pt2":
        extra = {ABOUT: ""}
        torch.export.load(path, extra_files=extra)
        told = json.loads(extra[ABOUT])
    elif ending == ".onnx":
        told = onnxruntime.InferenceSession(path.read_bytes()).get_modelmeta().custom_metadata_map
    else:
        content = path.read_bytes()
        told = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert {key: told[key] for key in ABOUT_IT} == ABOUT_IT
    assert NetworkDescription.from_metadata(told, "it") == description
    assert json.loads(told["normalisation"]) == {"mean": [4.88], "deviation": [6.02]}


def test_standardised_raw_digits_are_the_examples_to_the_last_bit() -> None:
    data = datasets.load("digits")
    assert data.normalisation is not None
    description = described("mlp", normalisation=data.normalisation)
    first = for_raw_examples(nn.Identity(), description, "it")
    raw = load_digits().images[::5, None]
    for kind in (np.uint8, np.int64, np.float32, np.float64):
        assert torch.equal(first(torch.from_numpy(raw.astype(kind))), data.test.examples)


@pytest.mark.parametrize(
    ("shape", "numbers"), [((3, 4, 4), 3), ((5,), 5), ((3, 4, 4), 1), ((7,), 1)]
)
def test_numbers_lie_along_the_first_axis_of_an_example(
    shape: tuple[int, ...], numbers: int
) -> None:
    # Oracle: numpy, channel by channel or column by column.
    mean, deviation = np.arange(1.0, 1 + numbers), np.arange(2.0, 2 + numbers)
    known = Normalisation(tuple(mean), tuple(deviation))
    first = for_raw_examples(nn.Identity(), described("mlp", shape, normalisation=known), "it")
    raw = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    expected = np.empty_like(raw)
    for place in range(shape[0]):
        k = place % numbers
        expected[:, place] = (raw[:, place] - np.float32(mean[k])) / np.float32(deviation[k])
    assert np.array_equal(first(torch.from_numpy(raw)).numpy(), expected)


def test_a_sparse_file_is_read_as_readme_says(tmp_path: Path) -> None:
    """With safetensors and numpy alone."""
    path, description = tmp_path / "kept.safetensors", described("convnet")
    tensors = state(trained(description))
    path.write_bytes(to_safetensors(tensors, description.metadata()))
    with safe_open(path, framework="numpy") as file:
        assert {"conv2.weight.indices", "conv2.weight.values", "norm1.running_var"} <= {
            *file.keys()
        }
    [text] = blocks(NETWORK_FILES, "python")
    assert {line.split()[1] for line in text.splitlines() if "import" in line} == {
        "json", "numpy", "safetensors",
    }  # fmt: skip
    module: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), module)
    back = module["read"](path)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert back[name].dtype == value.numpy().dtype
        assert np.array_equal(back[name], value.numpy())


def test_code_that_a_file_names_is_not_called_without_trust(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    written(path, described("support.network_cases:tied"))
    with pytest.raises(InputError, match=r"tied, code that load_network calls with trust=True onl"):
        load_network(path)


def test_a_normalisation_that_is_not_known_is_said(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    written(path, described("mlp", normalisation=None, takes_raw=None))
    load_network(path)
    with pytest.raises(InputError, match=r"net\.safetensors: the numbers that its inputs were st"):
        load_network(path, normalise=True)


def test_a_network_of_raw_inputs_takes_fractions_as_numpy_has_them(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    module = written(path, described("mlp", normalisation=None))
    raw = torch.randn(4, 1, 8, 8)
    network = load_network(path, normalise=True)
    assert torch.equal(network(raw), module(raw))
    assert torch.equal(network(raw.double()), module(raw))
    first = network.get_submodule("standardise")
    assert torch.equal(first(torch.arange(3)), torch.arange(3))  # ids stay what they are


def test_weights_of_another_network_are_refused() -> None:
    description = described("mlp")
    right = state(trained(description))
    name = next(iter(right))
    for wrong in (
        {**right, "more": torch.ones(1)},
        {key: value for key, value in right.items() if key != name},
        {**right, name: right[name][:-1]},
    ):
        with pytest.raises(InputError, match=r"^x: the network is no mlp$"):
            network_module(description, wrong, "x")


def test_options_that_no_network_takes_are_one_line(tmp_path: Path) -> None:
    path, description = tmp_path / "net.safetensors", described("mlp")
    for changes in ({"options": '{"depth": 3}'}, {"shape": "[-1]"}, {"shape": "[1e30]"}):
        metadata = description.metadata() | changes
        path.write_bytes(to_safetensors(state(trained(description)), metadata))
        with pytest.raises(InputError, match=r"net\.safetensors: [^\n]+$"):
            load_network(path)


@pytest.mark.parametrize("ending", [".pt2", ".onnx"])
def test_what_cannot_be_exported_is_one_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"net{ending}"
    with pytest.raises(InputError) as refused:
        written(path, described("someones:branching"))
    text = str(refused.value)
    assert text.startswith(f"{path}: torch.export cannot follow someones:branching: ")
    assert len(text.splitlines()) == 1
    assert not path.exists()


def test_without_the_extra_onnx_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"ONNX needs two more packages: pip install 'sweeper\[on"):
        written(tmp_path / "net.onnx", described("mlp"))


@pytest.mark.parametrize(
    ("place", "more", "said"),
    [
        (
            "net.pt2",
            {},
            "net.pt2: must be the name of a sweep or a .safetensors file; torch.export",
        ),
        (Path("net"), {}, "net: must be the name of a sweep"),
        ("net.safetensors", {"arm": "l1"}, "is one network: it goes together with no arm"),
        ("nowhere.safetensors", {}, "nowhere.safetensors: cannot be read: No such file"),
    ],
)
def test_a_place_without_a_network_is_one_line(
    place: str | Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        load_network(place, **more)
    assert len(str(refused.value).splitlines()) == 1


@given(
    st.builds(
        NetworkDescription,
        model=st.sampled_from(["mlp", "a.b:c"]),
        options=st.sampled_from([(), (("widths", (3, 4)),), (("rate", 0.5), ("name", "x"))]),
        shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
        classes=st.integers(2, 99),
        labels=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        normalisation=st.just(GREY),
        takes_raw=st.booleans(),
    )
)
def test_descriptions_come_back(description: NetworkDescription) -> None:
    metadata = description.metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert NetworkDescription.from_metadata(metadata, "it") == description


@pytest.mark.parametrize(
    ("key", "text"),
    [("shape", "5"), ("shape", "["), ("classes", "[]"), ("options", "[1]"), ("labels", "1"),
     ("normalisation", "{}"), ("normalisation", '{"mean": 1, "deviation": 2}'),
     ("shape", "[" * 100_000)],
)  # fmt: skip
def test_descriptions_that_make_no_sense_are_one_line(key: str, text: str) -> None:
    metadata = described("mlp").metadata() | {key: text}
    with pytest.raises(InputError, match=rf"^x: (has no )?{key}: "):
        NetworkDescription.from_metadata(metadata, "x")


def test_a_file_of_an_older_version_says_so() -> None:
    metadata = {"model": "mlp", "study": "tiny/l1/confirmed"}
    with pytest.raises(InputError, match=r"^x: has no options: was written by an older version"):
        NetworkDescription.from_metadata(metadata, "x")
    content = to_safetensors({"a": torch.ones(1)}, metadata)
    assert from_safetensors(content, "x")["a"].tolist() == [1.0]
