"""Masks: weights of a module that are cut to exactly 0, and stay 0 while it is trained on."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from sweeper.errors import InputError, choices
from sweeper.modules.module_weights import plain_name, unwrapped

_HELD: "WeakKeyDictionary[nn.Module, Masks]" = WeakKeyDictionary()
"""The masks of each module that has any, for as long as it lives."""


class Masks:
    """Masks of a module's weights, and of biases: what is False is 0.

    They hold by themselves: gradients outside of them are 0, so that a clipped norm or a moment
    does not count what is cut, and after each step of a `torch.optim` optimizer that trains one of
    the weights so are the weights, whatever momentum and decay did. Other optimizers need
    `apply_()` after their step. The module's parameters and their names stay what they are.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        """Hold masks by the names of parameters, in place of those that the module has."""
        module = unwrapped("Masks", model)
        names = {plain_name(name): name for name, _ in module.named_parameters()}
        self._masks, self._names = {}, {name: names.get(name, "") for name in masks}
        for name, mask in masks.items():
            if name not in names:
                raise InputError(f"Masks: no such parameter: {choices(name, names)}")
            weight = module.get_parameter(names[name])
            if mask.dtype != torch.bool or mask.shape != weight.shape:
                text = f"must be torch.bool {list(weight.shape)}"
                raise InputError(f"Masks: {name}: {text}, got {mask.dtype} {list(mask.shape)}")
            self._masks[name] = mask.to(weight.device)
        self._module = ref(module)
        self._handles: list[RemovableHandle] = []
        if module in _HELD:
            _HELD[module].remove()
        _HELD[module] = self
        for name in self._masks:
            weight = module.get_parameter(names[name])
            if weight.requires_grad:  # one that is frozen has no gradient
                hook = _GradientMask(self._masks, name)
                self._handles.append(weight.register_hook(hook))  # type: ignore[no-untyped-call]
        self.apply_()

    @torch.no_grad()
    def apply_(self) -> None:
        """Set the weights outside of the masks to exactly 0, NaN too."""
        module = self._module()
        if module is None or _HELD.get(module) is not self:
            return
        for name, mask in self._masks.items():
            weight = module.get_parameter(self._names[name])
            if mask.device != weight.device:
                mask = self._masks[name] = mask.to(weight.device)  # noqa: PLW2901  # it moved
            weight.masked_fill_(~mask, 0)

    def remove(self) -> None:
        """Let the weights be trained again from where they are: 0, for those that were cut."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        module = self._module()
        if module is not None and _HELD.get(module) is self:
            del _HELD[module]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the masks by name, for `Masks(model, state)` to hold them in another process."""
        return {name: mask.clone() for name, mask in self._masks.items()}

    def __repr__(self) -> str:
        stay = sum(int(mask.count_nonzero()) for mask in self._masks.values())
        total = sum(mask.numel() for mask in self._masks.values())
        return f"Masks({stay:,} of {total:,} stay)"

    @property
    def weights(self) -> frozenset[int]:
        """The ids of the parameters that are masked."""
        module = self._module()
        if module is None:
            return frozenset()
        return frozenset(id(module.get_parameter(name)) for name in self._names.values())


class _GradientMask:
    """A hook of one parameter: its gradient outside of its mask is 0."""

    def __init__(self, masks: dict[str, Tensor], name: str) -> None:
        self._masks, self._name = masks, name

    def __call__(self, gradient: Tensor) -> Tensor:
        mask = self._masks[self._name]
        return gradient.masked_fill(~mask.to(gradient.device), 0)


def _after_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    if not _HELD:
        return
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for masks in list(_HELD.values()):
        if not trained.isdisjoint(masks.weights):
            masks.apply_()


register_optimizer_step_post_hook(_after_step)
