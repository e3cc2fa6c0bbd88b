"""Which pixels survive: the first layer's weights of chosen networks, as small pictures."""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from sweeper.config import Sweep

SIDE = 140
"""Pixels of a picture on the page."""
INK = np.array([0, 63, 114], dtype=np.float64)


def counts(content: bytes, shape: tuple[int, int, int]) -> NDArray[np.int64] | None:
    """Return how many weights of the first layer each pixel has left, [height, width].

    `content` is a kept network, see `training.weights`. None unless the first layer is a matrix on
    images of one channel, and for what is no network.
    """
    try:
        return _counts(content, shape)
    except (SafetensorError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # anybody may have put it there; `verify` says what is wrong
    except RecursionError:
        return None


def _counts(content: bytes, shape: tuple[int, int, int]) -> NDArray[np.int64] | None:
    size = int.from_bytes(content[:8], "little")
    shapes = json.loads(content[8 : 8 + size])["__metadata__"]["shapes"]
    channels, height, width = shape
    matrices = [(name, of) for name, of in json.loads(shapes).items() if len(of) > 1]
    if channels != 1 or not matrices or len(matrices[0][1]) != 2:
        return None
    name, (_, inputs) = matrices[0]
    if inputs != height * width:
        return None
    tensors = load(content)
    if name in tensors:
        kept = np.flatnonzero(tensors[name])
    else:
        kept = tensors[f"{name}.indices"][tensors[f"{name}.values"] != 0]
    found = np.bincount(kept.astype(np.int64).ravel() % inputs, minlength=inputs)
    return found.reshape(height, width).astype(np.int64)


def section(sweep: Sweep, networks: Mapping[str, bytes], size: int) -> str:
    """Return the pictures of the networks of the arms, with one scale for all; empty without any.

    `size` is the number of nonzero parameters within which they were chosen.
    """
    found = {
        arm: some
        for arm, content in networks.items()
        if (some := counts(content, sweep.data.shape)) is not None
    }
    if not found:
        return ""
    most = max(1, *(int(some.max()) for some in found.values()))
    parts = [
        f'<figure class="pixels"><img width="{SIDE}" height="{SIDE}" src="{_png(some / most)}" '
        f'alt="{escape(arm)}: {int((some > 0).sum())} of {some.size} pixels are used">'
        f"<figcaption><b>{escape(arm)}</b><br>{int((some > 0).sum())} of {some.size} pixels, "
        f"{int(some.sum()):,} weights</figcaption></figure>"
        for arm, some in found.items()
    ]
    return (
        f'<h3>Which pixels survive</h3><div class="gallery">{"".join(parts)}</div>'
        f"<p class=soft>Weights of the first layer that are left on each pixel, white for none and "
        f"darkest for {most}: of each arm one network within {size:,} nonzero parameters, the "
        "first repeat's choice with the first fresh seed.</p>"
    )


def _png(shares: NDArray[np.float64]) -> str:
    """Return shares in [0, 1] as a PNG, white for 0 and ink for 1, as a data URL.

    Not linear: one weight must be seen beside thirty.
    """
    strength = np.sqrt(shares)[..., None]
    pixels = np.rint(255 + (INK - 255) * strength).astype(np.uint8)
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
