"""Sizes of built-in networks: a line for each layer that has parameters, without torch.

`sweeper/training/` builds the networks; tests hold both together, for any shape and classes.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]
"""Of one example, such as channels, height and width of an image."""
Side = tuple[int, int]
"""Height and width of an image, or of what a layer makes of it."""
VGG_16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels of the convolutions of VGG-16 in their order; 0 is a pooling."""
STAGES = (16, 32, 64)
"""Channels of the three stages of a residual network."""


@dataclass(frozen=True, slots=True)
class LayerSize:
    """A layer: its parameters, and what it computes for one example."""

    parameters: int
    """All of them, biases included."""
    multiplications: int
    """Multiply-adds of a forward pass; 0 of a layer that only scales its inputs."""
    outputs: int
    """Numbers that it puts out."""
    weight: str = ""
    """Name of its weight; empty of a layer that has none of two or more dimensions."""
    shape: Shape = ()
    """Of its weight."""


def linear(name: str, inputs: int, outputs: int) -> LayerSize:
    """Return a fully connected layer with biases."""
    weights = inputs * outputs
    shape = (outputs, inputs)
    return LayerSize(weights + outputs, weights, outputs, f"{name}.weight", shape)


def convolution(
    name: str, inputs: int, outputs: int, side: Side, *, kernel: int = 3, bias: bool = False
) -> LayerSize:
    """Return a convolution; `side` is that of its outputs."""
    weights = inputs * outputs * kernel**2
    area = math.prod(side)
    parameters, shape = weights + outputs * bias, (outputs, inputs, kernel, kernel)
    return LayerSize(parameters, weights * area, outputs * area, f"{name}.weight", shape)


def batch_norm(channels: int, side: Side) -> LayerSize:
    """Return the scales and shifts of a batch norm; its statistics are no parameters."""
    return LayerSize(2 * channels, 0, channels * math.prod(side))


def pooled(side: Side) -> Side:
    """Return the side of an image after pooling by 2: it stays where a half would be nothing.

    >>> pooled((7, 6)), pooled((1, 6))
    ((3, 3), (1, 6))
    """
    height, width = side
    return (height // 2, width // 2) if min(side) >= 2 else side


def mlp_layers(
    shape: Shape,
    classes: int,
    *,
    widths: tuple[int, ...],
    dropout: float = 0.0,
) -> Iterator[LayerSize]:
    """Yield the layers of a fully connected network."""
    apart = 3 if dropout else 2  # linear, ReLU, and dropout if there is one
    for number, (inputs, outputs) in enumerate(
        itertools.pairwise((math.prod(shape), *widths, classes))
    ):
        yield linear(f"{1 + apart * number}", inputs, outputs)


def lenet_300_100_layers(shape: Shape, classes: int) -> Iterator[LayerSize]:
    """Yield the layers of LeNet-300-100."""
    return mlp_layers(shape, classes, widths=(300, 100))


def lenet_5_layers(shape: Shape, classes: int) -> Iterator[LayerSize]:
    """Yield the layers of LeNet-5."""
    channels, height, width = shape
    side = (height - 4, width - 4)
    yield convolution("0", channels, 20, side, kernel=5, bias=True)
    height, width = pooled(side)
    side = (height - 4, width - 4)
    yield convolution("3", 20, 50, side, kernel=5, bias=True)
    yield linear("7", 50 * math.prod(pooled(side)), 500)
    yield linear("9", 500, classes)


def convnet_layers(shape: Shape, classes: int, *, widths: tuple[int, ...]) -> Iterator[LayerSize]:
    """Yield the layers of a plain convolutional network."""
    channels, side = shape[0], (shape[1], shape[2])
    for number, width in enumerate(widths, 1):
        yield convolution(f"conv{number}", channels, width, side)
        channels, side = width, pooled(side)
        yield batch_norm(channels, side)
    yield linear("linear", channels * math.prod(side), classes)


def vgg_16_bn_layers(shape: Shape, classes: int) -> Iterator[LayerSize]:
    """Yield the layers of VGG-16 with batch norm."""
    channels, side = shape[0], (shape[1], shape[2])
    numbers = itertools.count(1)
    for width in VGG_16:
        if width:
            yield convolution(f"conv{next(numbers)}", channels, width, side)
            yield batch_norm(width, side)
            channels = width
        else:
            side = pooled(side)
    yield linear("linear", channels * math.prod(side), classes)


def resnet_layers(shape: Shape, classes: int, *, blocks: int) -> Iterator[LayerSize]:
    """Yield the layers of a residual network; `blocks` are those of each stage."""
    channels, side = shape[0], (shape[1], shape[2])
    counts = [(16, 1), *((width, 2 * blocks) for width in STAGES)]
    for stage, (width, convolutions) in enumerate(counts):
        if stage > 1:
            side = (-(-side[0] // 2), -(-side[1] // 2))
        for number in range(convolutions):
            block = f"stage{stage}block{number // 2 + 1}.conv{number % 2 + 1}"
            yield convolution(block if stage else "conv", channels, width, side)
            yield batch_norm(width, side)
            channels = width
    yield linear("linear", channels, classes)


def resnet_20_layers(shape: Shape, classes: int) -> Iterator[LayerSize]:
    """Yield the layers of ResNet-20."""
    return resnet_layers(shape, classes, blocks=3)


def resnet_32_layers(shape: Shape, classes: int) -> Iterator[LayerSize]:
    """Yield the layers of ResNet-32."""
    return resnet_layers(shape, classes, blocks=5)
