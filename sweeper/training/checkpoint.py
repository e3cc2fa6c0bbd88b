"""Checkpoint of one network: its parameters, and the buffers that training changes, as a file.

Most of them are exactly 0. A tensor of which more than half is, is written as `NAME.indices`
(int32, into the flattened tensor) and `NAME.values`; any other as it is. The metadata hold the
shapes.
"""

import json
import math
from collections.abc import Callable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sweeper.errors import InputError, first_line

Keep = Callable[[int, Mapping[str, Tensor]], None]
"""Takes the place of a configuration and its trained network, parameters by name."""
_FORMAT = "sweeper-sparse-1"
_LARGEST = 2**31 - 1
"""Entries of one tensor: its indices are int32."""


def to_safetensors(network: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """Return a network as the content of a file; `about` stands in its metadata."""
    tensors: dict[str, Tensor] = {}
    shapes = {name: list(value.shape) for name, value in network.items()}
    for name, value in network.items():
        flat = value.detach().cpu().flatten().contiguous()
        indices = flat.nonzero().flatten()
        if 2 * len(indices) < len(flat):
            tensors[f"{name}.indices"] = indices.to(torch.int32)
            tensors[f"{name}.values"] = flat[indices]
        else:
            tensors[name] = flat.reshape(value.shape)
    metadata = {**about, "format": _FORMAT, "shapes": json.dumps(shapes)}
    return bytes(save(tensors, metadata=metadata))


def from_safetensors(content: bytes, name: str) -> dict[str, Tensor]:
    """Return the parameters of a file by name, dense. Raises InputError, which names the file."""
    try:
        tensors = load(content)
        shapes = json.loads(safetensors_metadata(content)["shapes"])
        return {key: _dense(tensors, key, shape) for key, shape in shapes.items()}
    # Whatever stands there: it may come from anybody.
    except (
        SafetensorError,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,  # of torch; a RecursionError too
        TypeError,
        ValueError,
    ) as error:
        text = first_line(error)
        raise InputError(f"{name}: holds no network of sweeper: {text}") from None


def _dense(tensors: Mapping[str, Tensor], name: str, shape: list[int]) -> Tensor:
    if name in tensors:
        return tensors[name]
    values = tensors[f"{name}.values"]
    if not 0 <= math.prod(shape) <= _LARGEST:
        raise ValueError(f"{name} has {math.prod(shape)} entries")
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[tensors[f"{name}.indices"].long()] = values
    return flat.reshape(shape)


def safetensors_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of a file, which lie in its header: its length, then JSON."""
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return metadata
