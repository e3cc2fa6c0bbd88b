"""Initial weights of deep networks with ReLU."""

from torch import nn


def he_normal(module: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers anew, and set their biases to 0.

    Normal with deviation sqrt(2 / inputs of a unit), which keeps the size of activations from
    layer to layer. Reference: He, Zhang, Ren, Sun 2015, Delving deep into rectifiers.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
