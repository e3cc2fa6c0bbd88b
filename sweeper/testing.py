"""Probations of formulas, methods and networks, for tests of one's own: tried as by `check`.

```python
from sweeper.testing import check_formula, check_method, check_network


def test_my_penalty():
    check_formula(sum_of_roots, eps=0.1)
```

Each raises AssertionError, one line, for what sweeper would refuse. torch is loaded when one runs.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sweeper.config.penalty import hyper_problems
from sweeper.config.registry import Formula
from sweeper.errors import PluginError
from sweeper.types import MethodConfig, PenaltyConfig, Scalar, SharedConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sweeper.training.loaded_data import Data
    from sweeper.training.methods import Method

__all__ = ["check_formula", "check_method", "check_network"]

_MODULE = "sweeper_testing_subject"
"""Holds what a test gives while it is tried, so that it is loaded by name as a study file's is."""


def check_formula(
    formula: "Callable[..., Tensor] | Formula | str", *, apply: str = "", **hyper: Scalar
) -> None:
    """Try a formula in all of its ways, or as `apply` says, with these values of its keys.

    It is a function, a `sweeper.Formula` or `package.module:name`. Demanded are shapes, finite
    values and slopes where a weight is 0, and that no network's value depends on its pack.
    """
    from sweeper.training.custom_formulas import resolve
    from sweeper.training.validate_formulas import try_out

    with _named(formula) as name:
        known = resolve(name)
        ways = [apply] if apply else [way for way in known.modes if way != "prox" or known.prox]
        for key, value in hyper.items():
            for text in hyper_problems(known.hyper[key], value) if key in known.hyper else ():
                raise PluginError(f"{name}: {key} {text}")
        try_out(PenaltyConfig(name, way, 1.0, tuple(hyper.items())) for way in ways)


def check_method(method: "type[Method] | str", **hyper: Scalar) -> tuple[str, ...]:
    """Train small networks by a method with these values of its keys; return what is odd.

    It is a subclass of `sweeper.Method` or `package.module:Class`. Demanded are hooks that return
    what they should and leave finite numbers, the same bits in any pack and at every training, and
    the trial's density where it says `takes_density`.
    """
    from sweeper.training.custom_methods import method_class
    from sweeper.training.validate_methods import try_method

    with _named(method) as name:
        known = method_class(name).hyper
        for key, value in hyper.items():
            for text in hyper_problems(known[key], value) if key in known else ():
                raise PluginError(f"{name}: {key} {text}")
        oddities = try_method(MethodConfig(name=name, hyper=tuple(hyper.items())))
        return tuple(oddity.removeprefix(f"{name}: ") for oddity in oddities)


def check_network(
    factory: "Callable[..., nn.Module] | str",
    shape: tuple[int, ...],
    classes: int,
    *,
    tokens: int = 0,
    **options: Scalar,
) -> tuple[str, ...]:
    """Run a step of a network in packs and in plain PyTorch, which must agree; return what is odd.

    It is a function (shape, classes, **options) -> module, or `package.module:function`. Examples
    are random numbers of that shape, or, with `tokens`, whole numbers below it.
    """
    from sweeper.training.plain_pytorch import compare_with_plain

    with _named(factory) as name:
        recipe = SharedConfig(
            model=name,
            model_options=tuple(sorted(options.items())),
            dataset="random",
            batch_size=8,
            epochs=1,
            finetune_epochs=0,
            optimizer="sgd",
            schedule="constant",
            repeat=0,
            order_seed=0,
            curve=(),
        )
        oddities = compare_with_plain(recipe, _random_data(shape, classes, tokens))
        return tuple(oddity.removeprefix(f"{name}: ") for oddity in oddities)


def _random_data(shape: tuple[int, ...], classes: int, tokens: int) -> "Data":
    import torch

    from sweeper.training.loaded_data import Data, DataSplit

    generator = torch.Generator().manual_seed(0)
    size = (32, *shape)
    examples = (
        torch.randint(tokens, size, generator=generator)
        if tokens
        else torch.randn(size, generator=generator)
    )
    part = DataSplit(examples, torch.randint(classes, (32,), generator=generator))
    return Data("random", classes, part, part, part, hash="")


@contextmanager
def _named(subject: Any) -> Iterator[str]:
    """Let a subject be loaded by the yielded name; what is refused has its own name in the line."""
    name, shown = f"{_MODULE}:subject", getattr(subject, "__qualname__", "")
    if isinstance(subject, str):
        name = shown = subject
    else:
        module = ModuleType(_MODULE)
        module.__dict__["subject"] = subject
        sys.modules[_MODULE] = module
    try:
        yield name
    except PluginError as error:
        text = str(error).replace(name, shown.rpartition(".")[2] or type(subject).__name__)
        raise AssertionError(str(error) if name == shown else text) from None
    finally:
        sys.modules.pop(_MODULE, None)
