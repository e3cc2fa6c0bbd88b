"""Residual networks of He et al. 2016 in the form that the paper has for CIFAR-10.

Reference: He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition, section 4.2.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from sweeper.config.registry.network_sizes import STAGES, Shape
from sweeper.training.weight_init import he_normal


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input [batch, channels, h, w].

    Where the sides are halved and the channels doubled, the shortcut takes every second pixel and
    fills further channels with zeros (option A): it has no parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.stride, self.further = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        """Return [batch, outputs, h / stride, w / stride], sides rounded up."""
        inner = functional.relu(self.norm1(self.conv1(images)))
        inner = self.norm2(self.conv2(inner))
        shortcut = images
        if self.stride > 1:
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.further:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.further))
        return functional.relu(inner + shortcut)


def resnet(shape: Shape, classes: int, *, blocks: int) -> nn.Sequential:
    """Residual network of 6 * blocks + 2 layers: a convolution, three stages, a linear layer."""
    channels = STAGES[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(channels),
        relu=nn.ReLU(),
    )
    for stage, width in enumerate(STAGES, 1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            layers[f"stage{stage}block{block}"] = ResidualBlock(channels, width, stride=stride)
            channels = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(channels, classes)
    module = nn.Sequential(layers)
    he_normal(module)
    return module


def resnet_20(shape: Shape, classes: int) -> nn.Sequential:
    """ResNet-20: 3 blocks in each stage.

    >>> sum(p.numel() for p in resnet_20((3, 32, 32), 10).parameters())
    269722
    """
    return resnet(shape, classes, blocks=3)


def resnet_32(shape: Shape, classes: int) -> nn.Sequential:
    """ResNet-32: 5 blocks in each stage.

    >>> sum(p.numel() for p in resnet_32((3, 32, 32), 10).parameters())
    464154
    """
    return resnet(shape, classes, blocks=5)
