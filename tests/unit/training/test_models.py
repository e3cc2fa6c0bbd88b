"""Networks: their sizes, what each layer is, initial weights, and factories of a user's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sweeper.config.registry import MODELS, ModelEntry
from sweeper.config.sections import ModelChoice
from sweeper.errors import PluginError
from sweeper.training import models
from sweeper.training.residual_networks import ResidualBlock
from sweeper.types import Options

SHAPES = [(3, 32, 32), (1, 28, 28), (2, 17, 40), (1, 16, 16), (5, 33, 16)]


def options(entry: ModelEntry) -> Options:
    return (("widths", (8, 16, 4)),) if entry.with_widths else ()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", MODELS)
def test_layers_are_as_large_as_the_registry_says(
    name: str, classes: int, shape: tuple[int, ...]
) -> None:
    # Oracle: the modules that a forward pass goes through, in their order.
    entry = MODELS[name]
    module = models.build(name, options(entry), shape, classes, seed=0)
    said = list(entry.layers(shape, classes, **dict(options(entry))))
    seen: list[tuple[int, int, int]] = []

    def measure(part: nn.Module, _: object, output: Tensor) -> None:
        parameters = sum(value.numel() for value in part.parameters())
        products = 0
        if isinstance(part, nn.Linear):
            products = part.weight.numel()
        elif isinstance(part, nn.Conv2d):
            products = part.weight.numel() * output.shape[2] * output.shape[3]
        seen.append((parameters, products, output[0].numel()))

    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
            part.register_forward_hook(measure)
    with torch.no_grad():
        assert module(torch.zeros(2, *shape)).shape == (2, classes)
    assert [(one.parameters, one.multiplications, one.outputs) for one in said] == seen
    assert sum(one.parameters for one in said) == sum(p.numel() for p in module.parameters())
    weights = [(name, tuple(p.shape)) for name, p in module.named_parameters() if p.ndim > 1]
    assert [(one.weight, one.shape) for one in said if one.weight] == weights


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_images_that_a_network_takes_can_be_trained_on(name: str) -> None:
    entry = MODELS[name]
    shape = (1, max(entry.least_side, 1), max(entry.least_side, 1))
    assert entry.takes(shape)
    module = models.build(name, options(entry), shape, 3, seed=0)
    batch = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    torch.autograd.backward(functional.cross_entropy(module(batch), torch.tensor([0, 1])))
    assert all(value.grad is not None for value in module.parameters())


def test_networks_have_the_sizes_that_their_papers_say() -> None:
    sizes = {
        "resnet-20": 269_722,  # 0.27 M in table 6 of He et al. 2016
        "resnet-32": 464_154,  # 0.46 M
        "vgg-16-bn": 14_724_042,  # 14.72 M
        "lenet-300-100": 32 * 32 * 3 * 300 + 300 + 30_100 + 1_010,
    }
    for name, total in sizes.items():
        assert sum(one.parameters for one in MODELS[name].layers((3, 32, 32), 10)) == total
    assert sum(one.parameters for one in MODELS["lenet-5"].layers((1, 28, 28), 10)) == 431_080
    products = sum(one.multiplications for one in MODELS["resnet-20"].layers((3, 32, 32), 10))
    assert products == 40_551_040  # 41 M


def test_a_network_of_ones_own_has_no_layers_to_read() -> None:
    class Facts:
        shape, classes = (1, 8, 8), 10

    assert ModelChoice.model_validate("my.nets:tiny").layers(Facts()) is None


def test_a_shortcut_takes_every_second_pixel_and_has_no_parameters() -> None:
    block = ResidualBlock(2, 4, stride=2).eval()
    with torch.no_grad():
        block.conv2.weight.zero_()
        images = torch.rand(3, 2, 5, 8, generator=torch.Generator().manual_seed(0))
        output = block(images)
    assert output.shape == (3, 4, 3, 4)
    assert torch.equal(output[:, :2], images[:, :, ::2, ::2])
    assert not output[:, 2:].any()
    assert {name.partition(".")[0] for name, _ in block.named_parameters()} == {
        "conv1", "norm1", "conv2", "norm2",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["resnet-20", "vgg-16-bn"])
def test_deep_networks_start_as_he_et_al_do(name: str) -> None:
    module = models.build(name, (), (3, 32, 32), 10, seed=0)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            deviation = (2 / part.weight[0].numel()) ** 0.5
            assert float(part.weight.detach().std()) == pytest.approx(deviation, rel=0.1)
            assert part.bias is None
        if isinstance(part, nn.Linear):
            assert not part.bias.any()


def test_dropout_follows_each_hidden_layer_and_zero_is_none() -> None:
    def kinds(dropout: float) -> list[str]:
        module = models.mlp((5,), 2, widths=(4, 3), dropout=dropout)
        return [type(part).__name__ for part in module]

    hidden = ["Linear", "ReLU", "Dropout"]
    assert kinds(0.2) == ["Flatten", *hidden, *hidden, "Linear"]
    assert kinds(0.0) == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_initial_weights_are_a_function_of_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = models.build("mlp", (("widths", (4,)),), (1, 8, 8), 10, seed=1)
    assert torch.equal(torch.rand(1), expected)
    again = models.build("mlp", (("widths", (4,)),), (1, 8, 8), 10, seed=1)
    other = models.build("mlp", (("widths", (4,)),), (1, 8, 8), 10, seed=2)
    weights = [dict(m.named_parameters())["1.weight"] for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_module:factory", "No module named 'no_such_module'"),
        ("math:no_such_name", "no_such_name"),
        ("math:sqrt", "TypeError"),
        ("builtins:print", "unexpected keyword|must return a torch.nn.Module"),
    ],
)
def test_a_broken_factory_is_refused_with_one_line(factory: str, reason: str) -> None:
    with pytest.raises(PluginError, match=reason) as caught:
        models.build(factory, (), (1, 8, 8), 10, seed=0)
    assert "\n" not in str(caught.value)


def test_anybodys_factory_is_used_with_its_options() -> None:
    module = models.build("sweeper.training.models:mlp", (("widths", (3,)),), (1, 8, 8), 10, seed=0)
    assert models.prunable(module) == ("1.weight", "3.weight")
