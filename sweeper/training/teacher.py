"""Teacher: a trained network whose outputs the networks of a pack learn to give, too.

Reference: Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sweeper.config.registry import PLUGIN
from sweeper.errors import InputError, PluginError, typed_line
from sweeper.training import models
from sweeper.training.data_path import data_path
from sweeper.training.loaded_data import Data
from sweeper.training.network_files import read_network
from sweeper.training.network_module import Raw, Standardise, network_module
from sweeper.types import Normalisation, TeacherConfig

Shape = tuple[int, ...]
_TRIED = 6
"""Examples that a teacher is tried on."""


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A module that is never trained, and how much it weighs.

    What it was trained on, it has seen: one of another split knows validation examples of this one.
    """

    config: TeacherConfig
    module: nn.Module
    hash: str
    """sha256 of its parameters and buffers."""

    @classmethod
    def of(cls, config: TeacherConfig, data: Data) -> "Teacher":
        """Return the teacher of a recipe, on the device of the data.

        Raises InputError, PluginError for one that is not there, does not fit the data, or has
        other parameters than when the sweep was registered.
        """
        known = data.shape, data.classes, data.normalisation, str(data.device)
        if PLUGIN.fullmatch(config.network):
            return _loaded(config, *known)
        path = data_path(config.network, None, "training.teacher")
        status = path.stat()
        return _loaded(config, *known, path, (status.st_mtime_ns, status.st_size))

    @torch.no_grad()
    def outputs(self, examples: Tensor) -> Tensor:
        """Return [batch, classes] for examples [batch, ...]; the module is judged, not trained."""
        outputs: Tensor = self.module(examples)
        return outputs


def try_out(config: TeacherConfig, data: Data) -> str:
    """Return the hash of a teacher that works on a few examples. Raises InputError, PluginError."""
    teacher, examples = Teacher.of(config, data), data.train.examples[:_TRIED]
    try:
        first, second = (teacher.outputs(examples) for _ in range(2))
    except Exception as error:  # whatever a module of somebody else's raises
        raise PluginError(f"{config.network}: {typed_line(error)}") from error
    wanted = [len(examples), data.classes]
    got = list(first.shape) if hasattr(first, "shape") else f"a {type(first).__name__}"
    if got != wanted:
        raise PluginError(f"{config.network}: must return logits {wanted}, returned {got}")
    if not first.isfinite().all():
        raise PluginError(f"{config.network}: its logits are not finite")
    if not torch.equal(first, second):
        text = "gives other logits for the same examples; allowed: no random numbers, no state"
        raise PluginError(f"{config.network}: {text}")
    return teacher.hash


@lru_cache(maxsize=2)
def _loaded(
    config: TeacherConfig,
    shape: Shape,
    classes: int,
    normalisation: Normalisation | None,
    device: str,
    path: Path | None = None,
    stamp: tuple[int, int] = (0, 0),
) -> Teacher:
    """Return a teacher, once for all packs; `stamp` says whether a file is still the same."""
    if path is None:
        module = models.call_factory(config.network, (), shape, classes)
        digest = _hash(module)
    else:
        module, digest = _read(path, shape, classes, normalisation)
    if config.hash not in ("", digest):
        raise InputError(
            f"training.teacher: {config.network}: its parameters are other ones than when the "
            f"sweep was registered (hash {digest[:12]}, then {config.hash[:12]})"
        )
    return Teacher(config, module.to(device).eval().requires_grad_(False), digest)


def _read(
    path: Path, shape: Shape, classes: int, normalisation: Normalisation | None
) -> tuple[nn.Module, str]:
    """Return the network of a file and its hash; it takes examples as the data have them."""
    name = path.name
    description, tensors = read_network(path)
    if not description.is_built_in:
        text = f"is built by {description.model}, code that no file may call; allowed: a function"
        raise InputError(f"{name}: {text} that returns it, package.module:function")
    if (description.shape, description.classes) != (shape, classes):
        theirs = f"examples of {list(description.shape)} in {description.classes} classes"
        raise InputError(f"{name}: is for {theirs}, the data have {list(shape)} in {classes}")
    module = network_module(description, tensors, name)
    digest = _hash(module)
    if description.takes_raw is None or description.normalisation == normalisation:
        return module, digest
    # The data of another split have another mean and deviation.
    steps = OrderedDict[str, nn.Module]()
    if normalisation is not None:
        steps["raw"] = Raw(normalisation, len(shape))
    if description.normalisation is not None:
        steps["standardise"] = Standardise(description.normalisation, len(shape))
    return nn.Sequential(OrderedDict(**steps, network=module)), digest


def _hash(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
