"""Network files: a module as safetensors, as a program of torch.export, as ONNX."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from sweeper.atomic_write import atomic_write
from sweeper.config.file_limits import open_regular
from sweeper.errors import InputError
from sweeper.training.checkpoint import from_safetensors, safetensors_metadata
from sweeper.training.network_description import NetworkDescription, check_ending

DENSE = "sweeper-network-1"
"""Format of a file with dense tensors under the names of the module's `state_dict`."""
INPUT, OUTPUT = "examples", "logits"
"""Names of the two ends of an ONNX file."""
ABOUT = "sweeper.json"
"""Name under which a .pt2 file holds its metadata."""
_BATCH = 2
"""Examples for which a program is exported; with one, PyTorch may take it for the only number."""


def write_network(
    path: Path, module: nn.Module, description: NetworkDescription, about: Mapping[str, str]
) -> None:
    """Write a network in the format of its ending, with its description and what `about` tells.

    A program takes float32 examples [batch, *shape], int64 ones where the network embeds them, for
    any batch. Raises InputError for another ending, a missing extra, and a network that
    torch.export cannot follow.
    """
    writers: dict[str, Callable[[nn.Module, NetworkDescription, dict[str, str]], bytes]] = {
        ".safetensors": _safetensors,
        ".pt2": _program,
        ".onnx": _onnx,
    }
    check_ending(path)
    metadata = {**description.metadata(), **about}
    try:
        content = writers[path.suffix](module, description, metadata)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    atomic_write(path, content)


def read_network(path: Path) -> tuple[NetworkDescription, dict[str, Tensor]]:
    """Return what a .safetensors file holds, which may be one of those kept. Raises InputError."""
    try:
        with open_regular(path) as file:
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    tensors = from_safetensors(content, str(path))
    return NetworkDescription.from_metadata(safetensors_metadata(content), str(path)), tensors


def _safetensors(module: nn.Module, _: NetworkDescription, metadata: dict[str, str]) -> bytes:
    """Return the tensors of the module's `state_dict`, those that are tied once."""
    named = (*module.named_parameters(), *module.named_buffers())
    tensors = {name: value.detach().contiguous() for name, value in named}
    shapes = {name: list(value.shape) for name, value in tensors.items()}
    told = {**metadata, "format": DENSE, "shapes": json.dumps(shapes)}
    return bytes(save(tensors, metadata=told))


def _program(module: nn.Module, description: NetworkDescription, metadata: dict[str, str]) -> bytes:
    def export(examples: Tensor) -> bytes:
        batch = torch.export.Dim("batch")
        program = torch.export.export(module, (examples,), dynamic_shapes=({0: batch},))
        content = io.BytesIO()
        torch.export.save(program, content, extra_files={ABOUT: json.dumps(metadata)})
        return content.getvalue()

    return _exported(export, module, description)


def _onnx(module: nn.Module, description: NetworkDescription, metadata: dict[str, str]) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        text = "ONNX needs two more packages: pip install 'sweeper[onnx]'"
        raise InputError(text) from None

    def export(examples: Tensor) -> bytes:
        program: Any = torch.onnx.export(
            module,
            (examples,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
        program.model.metadata_props.update(metadata)
        return bytes(program.model_proto.SerializeToString())

    return _exported(export, module, description)


@torch.no_grad()
def _exported(
    export: Callable[[Tensor], bytes], module: nn.Module, description: NetworkDescription
) -> bytes:
    """Return a module as exported for the examples that it takes. Raises InputError."""
    try:
        return export(_examples(module, description.shape))
    except Exception as error:  # whatever a module of somebody else's brings about
        reason = next(filter(None, map(str.strip, str(error).splitlines())), "")
        text = f"torch.export cannot follow {description.model}: {type(error).__name__}: {reason}"
        raise InputError(text[:500]) from error


def _examples(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return examples of the kind that a network takes: numbers, or where it refuses them ids."""
    numbers = torch.zeros(_BATCH, *shape)
    try:
        module(numbers)
    except (RuntimeError, TypeError, IndexError):  # of an embedding, which looks up whole numbers
        return numbers.long()
    return numbers
