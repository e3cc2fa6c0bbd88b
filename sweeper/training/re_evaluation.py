"""Re-evaluation of a finished network: counted and judged again, as in its training."""

from collections.abc import Mapping

from torch import Tensor

from sweeper.errors import InputError
from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.evaluation import Evaluator
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import Evaluation, TrialConfig


def re_evaluate(config: TrialConfig, network: Mapping[str, Tensor], data: Data) -> Evaluation:
    """Count and evaluate a network as `train` does. Raises InputError if it is another's."""
    architecture = StackedArchitecture.of(config.recipe, data)
    stack = {name: value[None].to(data.device) for name, value in network.items()}
    template = architecture.template
    named = dict((*template.named_parameters(), *template.named_buffers()))
    kept = (*architecture.parameters, *architecture.buffers)
    shapes = {name: tuple(named[name].shape) for name in kept}
    if {name: tuple(value.shape[1:]) for name, value in stack.items()} != shapes:
        raise InputError(f"the network is no {config.recipe.model}")
    with deterministic_numerics(data.device, config.recipe.precision):
        (evaluation,) = Evaluator(
            architecture, data, lambda passes: None, config.recipe.measure
        ).judge(stack)
    return evaluation
