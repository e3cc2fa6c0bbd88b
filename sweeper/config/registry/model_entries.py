"""Models by name: their factories, options, and what they demand of a dataset."""

from collections.abc import Mapping

from sweeper.config.registry import network_sizes
from sweeper.config.registry.entries import Hyperparameter, ModelEntry

MODELS: Mapping[str, ModelEntry] = {
    "lenet-300-100": ModelEntry(
        summary="fully connected, hidden layers of 300 and 100",
        factory="sweeper.training.models:lenet_300_100",
        layers=network_sizes.lenet_300_100_layers,
        hidden=(300, 100),
    ),
    "mlp": ModelEntry(
        summary="fully connected with ReLU, such as mlp(64, 32); option dropout",
        factory="sweeper.training.models:mlp",
        layers=network_sizes.mlp_layers,
        with_widths="mlp(64, 32)",
        options={
            "dropout": Hyperparameter(
                default=0.0,
                summary="share of hidden units that a step leaves out",
                low=0.0,
                high=0.95,
            )
        },
    ),
    "lenet-5": ModelEntry(
        summary="the Caffe LeNet-5: two convolutions of 20 and 50 kernels, a hidden layer of 500",
        factory="sweeper.training.models:lenet_5",
        layers=network_sizes.lenet_5_layers,
        least_side=16,
    ),
    "convnet": ModelEntry(
        summary="3x3 convolutions with max-pooling and batch norm, such as convnet(32, 64, 128)",
        factory="sweeper.training.convolutional_networks:convnet",
        layers=network_sizes.convnet_layers,
        with_widths="convnet(32, 64, 128)",
        least_widths=1,
        least_side=2,
        batch_norm=True,
    ),
    "vgg-16-bn": ModelEntry(
        summary="VGG-16 with batch norm in its CIFAR form: 13 convolutions, one linear layer",
        factory="sweeper.training.convolutional_networks:vgg_16_bn",
        layers=network_sizes.vgg_16_bn_layers,
        least_side=16,
        batch_norm=True,
    ),
    "resnet-20": ModelEntry(
        summary="ResNet-20 of He et al. 2016, its CIFAR form: 9 blocks of 16, 32 and 64 channels",
        factory="sweeper.training.residual_networks:resnet_20",
        layers=network_sizes.resnet_20_layers,
        least_side=8,
        batch_norm=True,
    ),
    "resnet-32": ModelEntry(
        summary="ResNet-32 of He et al. 2016, its CIFAR form: 15 blocks of 16, 32 and 64 channels",
        factory="sweeper.training.residual_networks:resnet_32",
        layers=network_sizes.resnet_32_layers,
        least_side=8,
        batch_norm=True,
    ),
}
