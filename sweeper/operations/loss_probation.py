"""Probation of a loss and a measure of a user's own, in the process that tries a study's parts."""

from collections.abc import Iterator

from sweeper.config import Sweep
from sweeper.config.registry import MEASURES
from sweeper.errors import PluginError


def loss_answers(sweep: Sweep, place: str) -> Iterator[dict[str, str]]:
    """Yield the name of the loss and of the measure, and what is wrong with either."""
    loss, measure = sweep.training.loss, sweep.measure
    if not sweep.is_resolved or (loss.in_registry and measure in MEASURES):
        return
    from sweeper.training import validate_losses, validate_measures

    classes, values = sweep.data.classes, sweep.data.values
    for key, name in (("training.loss", loss.name), ("measure", measure)):
        where = f"{place}: {key}: {name}"
        yield {"trying": where}
        try:
            if key == "measure":
                validate_measures.try_out(measure, classes, values=values)
            else:
                validate_losses.try_out(loss.config, classes, values=values)
        except PluginError as error:
            yield {"problem": f"{where}: {str(error).removeprefix(f'{name}: ')}"}
