"""First layers of confirmed networks, as small pictures: which pixels survive."""

import base64
import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load

from sweeper.analysis.conclusion import ConfirmationResult

SIDE = 140
"""Pixels of a picture on the page."""
INK = np.array([0, 63, 114], dtype=np.float64)


def counts(content: bytes, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    """Count the weights of the first layer that are left on each pixel, [height, width].

    `content` is a kept network, see `training.weights`. None unless the first layer is a matrix on
    images of one channel, and for what is no network.
    """
    try:
        return _counts(content, shape)
    except (SafetensorError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # anybody may have put it there; `verify` says what is wrong
    except RecursionError:
        return None


def _counts(content: bytes, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    size = int.from_bytes(content[:8], "little")
    shapes = json.loads(content[8 : 8 + size])["__metadata__"]["shapes"]
    if len(shape) != 3:
        return None
    channels, height, width = shape
    matrices = [(name, of) for name, of in json.loads(shapes).items() if len(of) > 1]
    if channels != 1 or not matrices or len(matrices[0][1]) != 2:
        return None
    name, (_, inputs) = matrices[0]
    if inputs != height * width:
        return None
    tensors = load(content)
    if name in tensors:
        indices = np.flatnonzero(tensors[name])
    else:
        indices = tensors[f"{name}.indices"][tensors[f"{name}.values"] != 0]
    by_pixel = np.bincount(indices.astype(np.int64).ravel() % inputs, minlength=inputs)
    return by_pixel.reshape(height, width).astype(np.int64)


@dataclass(frozen=True, slots=True)
class FirstLayer:
    """The first layer of one arm's network as a picture."""

    arm: str
    url: str
    """The picture as a data URL."""
    used: int
    """Pixels with a weight left."""
    pixels: int
    weights: int


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures of first layers, with one scale for all."""

    pictures: tuple[FirstLayer, ...]
    most: int
    """Weights of the darkest pixel."""
    size: int
    """Nonzero parameters within which the networks were chosen."""
    side: int = SIDE


def gallery(confirmation: ConfirmationResult) -> Gallery | None:
    """Return the pictures of the kept networks of a confirmation; None without any."""
    if confirmation.sweep.script is not None:
        return None
    shape = confirmation.sweep.data.shape
    layers = {
        arm: layer
        for arm, content in confirmation.networks.items()
        if (layer := counts(content, shape)) is not None
    }
    if not layers:
        return None
    most = max(1, *(int(layer.max()) for layer in layers.values()))
    pictures = tuple(
        FirstLayer(
            arm=arm,
            url=_png_url(layer / most),
            used=int((layer > 0).sum()),
            pixels=layer.size,
            weights=int(layer.sum()),
        )
        for arm, layer in layers.items()
    )
    return Gallery(pictures, most, confirmation.size)


def _png_url(shares: NDArray[np.float64]) -> str:
    """Return shares in [0, 1] as a PNG, white for 0 and ink for 1, as a data URL.

    Not linear: one weight must be seen beside thirty.
    """
    strength = np.sqrt(shares)[..., None]
    pixels = np.rint(255 + (INK - 255) * strength).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
