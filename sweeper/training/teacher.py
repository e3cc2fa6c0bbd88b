"""Teacher: a trained network whose outputs the networks of a pack learn to give, too.

Reference: Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sweeper.config.registry import PLUGIN, load
from sweeper.errors import InputError, PluginError
from sweeper.training.data_path import data_path
from sweeper.training.loaded_data import Data
from sweeper.training.network_files import read_network
from sweeper.training.network_module import network_module
from sweeper.types import TeacherConfig

Shape = tuple[int, ...]
_TRIED = 6
"""Examples that a teacher is tried on."""


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A module that is never trained, and how much it weighs."""

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
        return _loaded(config, data.shape, data.classes, str(data.device))

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
        text = (str(error).splitlines() or [""])[0]
        raise PluginError(f"{config.network}: {type(error).__name__}: {text}") from error
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
def _loaded(config: TeacherConfig, shape: Shape, classes: int, device: str) -> Teacher:
    make = _called if PLUGIN.fullmatch(config.network) else _read
    module = make(config.network, shape, classes).to(device).eval().requires_grad_(False)
    digest = _hash(module)
    if config.hash not in ("", digest):
        raise InputError(
            f"training.teacher: {config.network}: its parameters are other ones than when the "
            f"sweep was registered (hash {digest[:12]}, then {config.hash[:12]})"
        )
    return Teacher(config, module, digest)


def _called(name: str, shape: Shape, classes: int) -> nn.Module:
    function = load(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            module = function(shape, classes)
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise PluginError(f"{name}: the call with ({shape}, {classes}): {reason}") from error
    if not isinstance(module, nn.Module):
        raise PluginError(f"{name}: must return a torch.nn.Module, got {type(module).__name__}")
    return module


def _read(name: str, shape: Shape, classes: int) -> nn.Module:
    path: Path = data_path(name, None, "training.teacher")
    description, tensors = read_network(path)
    if not description.is_built_in:
        text = f"is built by {description.model}, code that no file may call; allowed: a function"
        raise InputError(f"{name}: {text} that returns it, package.module:function")
    if (description.shape, description.classes) != (shape, classes):
        theirs = f"examples of {list(description.shape)} in {description.classes} classes"
        raise InputError(f"{name}: is for {theirs}, the data have {list(shape)} in {classes}")
    return network_module(description, tensors, name)


def _hash(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
