"""Samplers: the parameters of a trial, as a function of the slot and of earlier generations alone.

A worker must not matter. So a sampler never looks at the live study, where trials have the
numbers that a race gave them and where others are RUNNING: it looks at a copy in memory that
holds the trials of earlier generations in the order of their slots. The slots of a generation
are asked one after the other in that copy, so that each sees the earlier ones of its own
generation as RUNNING (TPE and GP keep a distance to them), and each by a fresh sampler with the
seed of its slot. qmc and random are the same with one endless generation and no history; a grid
needs no sampler: see `grid_sampler`.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config import Auto, Choice, Domain, Integer, LogUniform, Sweep, derive_seed
from sweeper.config.given_params import moved_into_ranges
from sweeper.config.registry import SAMPLERS
from sweeper.errors import InputError
from sweeper.search.grid_sampler import Grid
from sweeper.search.observations import FinishedSlot, ObservationRule, observation_rule
from sweeper.types import Scalar

Space = dict[str, BaseDistribution]
Params = dict[str, Scalar]


def space_of(sweep: Sweep, arm: str) -> Space:
    """Return the searched parameters of an arm as Optuna's distributions, in a fixed order."""
    return {name: _distribution(domain) for name, domain in sweep.domains(arm).items()}


def brief(space: Space, longest: int) -> Space:
    """Return a space of which no distribution is longer than so many bytes, for keeping it.

    The numbers of a longer choice become the range from the least to the greatest of them, in which
    the values of trials lie all the same. Samplers are given the choice itself. Raises InputError
    for other values.
    """
    return {name: _briefly(name, distribution, longest) for name, distribution in space.items()}


def _briefly(name: str, distribution: BaseDistribution, longest: int) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    if len(distribution_to_json(distribution)) <= longest:
        return distribution
    numbers = [
        float(value)
        for value in distribution.choices
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if len(numbers) < len(distribution.choices):
        raise InputError(
            f"{name}: its choice takes more than the {longest:,} bytes that Optuna's tables have "
            "for it on MySQL: numbers may, other values may not"
        )
    return FloatDistribution(min(numbers), max(numbers))


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.choice)
    if isinstance(domain, Integer):
        return IntDistribution(*domain.integer)
    if isinstance(domain, Auto):
        raise AssertionError("a slot is claimable only once the range of its strength is known")
    return FloatDistribution(*domain.bounds, log=isinstance(domain, LogUniform))


class ParameterSource:
    """The parameters of every slot of a sweep. Equal on every worker; remembers open batches."""

    def __init__(self, sweep: Sweep, observing: ObservationRule | None = None) -> None:
        """`observing` is what the sampler is told, if not what is best."""
        self._sweep = sweep
        self._observing = observing or observation_rule(sweep)
        self._open: dict[tuple[str, int], _Batch] = {}
        self._grids: dict[tuple[str, int], Grid] = {}

    def params_beside(
        self,
        given: Mapping[str, Scalar],
        arm: str,
        repeat: int,
        slot: int,
        finished: Callable[[], Iterable[FinishedSlot]],
    ) -> Params:
        """Return the parameters of a slot some of which are given, as `params` has the others.

        What the sampler proposes for the slots after it is the same as without.
        """
        if not given:
            return self.params(arm, repeat, slot, finished)
        fixed = moved_into_ranges(self._sweep, arm, given)
        names = self._sweep.domains(arm)
        others = {} if fixed.keys() == names.keys() else self.params(arm, repeat, slot, finished)
        return {name: fixed[name] if name in fixed else others[name] for name in names}

    def params(
        self, arm: str, repeat: int, slot: int, finished: Callable[[], Iterable[FinishedSlot]]
    ) -> Params:
        """Return the parameters of a slot. All earlier generations must be in `finished()`."""
        if self._sweep.confirms:
            return dict(self._sweep.confirms.at(arm, repeat, slot)[0].params)
        space = space_of(self._sweep, arm)
        if not space:
            return {}
        if self._sweep.search.sampler == "grid":
            return self._grid(arm, repeat).point(slot)
        size = self._sweep.search.in_flight
        start = 0 if self._sweep.is_space_filling else slot // size * size
        batch = self._open.get((arm, repeat))
        if batch is None or batch.start != start:
            earlier = [slot for slot in finished() if slot.slot < start] if start else []
            sampler = _sampler(self._sweep, arm, repeat, space)
            history = _history(earlier, space, self._observing)
            batch = _Batch(start, space, sampler, history, self._observing.directions)
            self._open[arm, repeat] = batch
        return batch.params(slot)

    def _grid(self, arm: str, repeat: int) -> Grid:
        place = arm, repeat
        if place not in self._grids:
            seed = derive_seed(self._sweep.seed, "search", arm, repeat)
            self._grids[place] = Grid(self._sweep.domains(arm), seed)
        return self._grids[place]


class _Batch:
    """The slots from `start` on, asked one after the other beside a fixed history."""

    def __init__(
        self,
        start: int,
        space: Space,
        sampler: Callable[[int], BaseSampler],
        history: Sequence[FrozenTrial],
        directions: Sequence[StudyDirection],
    ) -> None:
        self.start = start
        self._asked: list[Params] = []
        self._space = space
        self._sampler = sampler
        self._study = optuna.create_study(directions=directions, sampler=RandomSampler())
        self._study.add_trials(history)

    def params(self, slot: int) -> Params:
        while self.start + len(self._asked) <= slot:
            self._study.sampler = self._sampler(self.start + len(self._asked))
            self._asked.append(self._study.ask(self._space).params)
        return dict(self._asked[slot - self.start])


def _history(
    earlier: Sequence[FinishedSlot], space: Space, observing: ObservationRule
) -> list[FrozenTrial]:
    return [
        create_trial(
            state=TrialState.COMPLETE if values else TrialState.PRUNED,
            values=values,
            params=dict(params),
            distributions=space,
            user_attrs={"slot": slot},
        )
        for slot, params, values in observing.of(earlier)
    ]


_alone = threading.RLock()  # catch_warnings changes what is global


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence ExperimentalWarning in this block only; the version of Optuna is bounded."""
    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _sampler(sweep: Sweep, arm: str, repeat: int, space: Space) -> Callable[[int], BaseSampler]:
    """Return slot -> sampler; for qmc always the same one, which counts by itself."""
    name = sweep.search.sampler

    def seed(*slot: int) -> int:
        return derive_seed(sweep.seed, "search", arm, repeat, *slot)

    with _without_warnings():
        if name == "qmc":
            sobol = _Sobol(space, seed())
            return lambda slot: sobol
    size = sweep.search.in_flight
    fresh: dict[str, Callable[[int], BaseSampler]] = {
        "random": lambda slot: RandomSampler(seed=seed(slot)),
        "tpe": lambda slot: TPESampler(
            seed=seed(slot), n_startup_trials=SAMPLERS["tpe"], constant_liar=True
        ),
        "gp": lambda slot: GPSampler(
            seed=seed(slot), n_startup_trials=SAMPLERS["gp"], warn_independent_sampling=False
        ),
        "nsga2": lambda slot: _NSGA2(slot, size, seed(slot), sweep.rungs),
    }
    return fresh[name]


class _Sobol(QMCSampler):
    """Optuna's scrambled Sobol sequence from the first trial on (its own starts at random)."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(scramble=True, seed=seed)
        self._whole = space

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Space:
        return self._whole


class _NSGA2(NSGAIISampler):
    """Optuna's NSGA-II with the population given by the slot, not by what has finished."""

    def __init__(self, slot: int, in_flight: int, seed: int, rungs: int) -> None:
        population = SAMPLERS["nsga2"]
        super().__init__(population_size=population, seed=seed)
        # Whole batches, so that a population of networks is complete before the next one is bred.
        self._size = -(-population // (rungs * in_flight)) * in_flight
        self._slot = slot

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        return self._slot // self._size

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [trial for trial in complete if trial.user_attrs["slot"] // self._size == generation]
