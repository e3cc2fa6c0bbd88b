"""Training of pruned networks: each through its weights that are left, or by dense products."""

from collections.abc import Callable, Sequence

from torch import Tensor

from sweeper.training.augmentation import Augmenter
from sweeper.training.cuda_graphs import one_by_one
from sweeper.training.datasets import DataSplit
from sweeper.training.learning_looks import Watch
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.sparse_fine_tuning import SparseFineTuning, trains
from sweeper.training.stack import Stack, unflagged_runs
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, Stepper, fit


def fit_pruned(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    schedule: Schedule,
    *,
    rate: Tensor,
    momentum: Tensor,
    decay: Tensor,
    masks: Stack,
    seeds: Sequence[int],
    augmenter: Augmenter | None = None,
    tick: Callable[[], None],
    watch: Watch | None = None,
) -> int:
    """Train a stack in place as `fit` does; weights outside of the masks are 0 and stay 0.

    The way that a network takes depends on it alone, so that its bits do not depend on the pack.
    """
    flags = trains(network.layers, stack, masks, schedule.batch_size)
    networks = [k for k, is_sparse in enumerate(flags) if is_sparse]
    if network.layers is None or not networks:
        return fit(
            network,
            stack,
            part,
            schedule,
            rate=rate,
            momentum=momentum,
            decay=decay,
            masks=masks,
            seeds=seeds,
            augmenter=augmenter,
            tick=tick,
            watch=watch,
        )
    batch, choice = schedule.batch_size, OptimizerChoice(schedule.optimizer, momentum, decay)
    sparse = SparseFineTuning.of(
        network.layers, stack, masks, networks, part, batch, network.loss, choice, rate
    )
    changed = augmenter.gather(part, batch, schedule.order_seed) if augmenter else None
    gathered: list[DataSplit] = []
    dense = []
    for some in unflagged_runs(flags):
        pruned = {name: ~mask for name, mask in some.of(masks).items()}
        stepper = Stepper(network, some.of(stack), choice.of(some).make(), pruned=pruned)
        dense.append(one_by_one(stepper, part, some.cut(rate), lambda _: gathered[-1]))
    steps, in_epoch = schedule.steps(len(part)), len(part) // batch

    def networks_now() -> Stack:
        sparse.write()
        return stack

    for number, index in enumerate(schedule.batches(part)):
        tick()
        factor = schedule.factor(number, steps)
        if changed is not None or dense:
            gathered[:] = [part.at(index) if changed is None else changed(index)]
        for take in dense:
            take(index, factor, number)
        sparse.take(index, factor, gathered[-1] if changed is not None else None)
        if watch is not None and (number + 1) % in_epoch == 0:
            watch((number + 1) // in_epoch, networks_now)
    sparse.write()
    return steps
