"""References between the rows of an export: what one names, another has, and once.

An export may be anybody's; each cell by itself is checked by `cells`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sweeper.config import Choice, Integer, LogUniform, Uniform
from sweeper.errors import InputError, shown
from sweeper.store import Dump, trial_records

_SPARE = 100
"""Trials of a study beyond its slots and attempts that are noted as lost: of workers that died
before they held the slot."""


class Export:
    """A sweep as it was read from an export, with where each of its rows stands there."""

    def __init__(self, dump: Dump, sheet: str, table: str) -> None:
        self.dump, self.sweep = dump, dump.sweep
        self._sheet, self._table = sheet, table
        ranges = {(one["arm"], one["parameter"]): one for one in dump.brackets}
        ends = {place: (one["low"], one["high"]) for place, one in ranges.items()}
        self._drawn = self.sweep.with_ranges(ends)
        self._slots = {
            (arm, repeat, slot) for arm in self.sweep.arms for repeat, slot in self.sweep.slots(arm)
        }
        self._origins = {one["digest"] for one in dump.provenance}
        self.places = {(one["arm"], one["repeat"], one["slot"]) for one in dump.facts}

    def check(self) -> None:
        """Check that what refers to another row has it, once. Raises InputError."""
        for name in ("provenance", "brackets", "failures", "drifts"):
            for number, one in enumerate(getattr(self.dump, name)):
                place = f"{self._sheet}: {name}: {number}"
                self._same(one["sweep"], self.sweep.name, f"{place}: sweep")
                if "provenance" in one:
                    self._among(one["provenance"], self._origins, f"{place}: provenance")
        self._once("provenance", lambda one: one["digest"])
        self._once("drifts", lambda one: one["id"])
        self._once("brackets", lambda one: (one["arm"], one["parameter"]))
        for number, one in enumerate(self.dump.brackets):
            place = f"{self._sheet}: brackets: {number}"
            self._among(one["arm"], self.sweep.arms, f"{place}: arm")
            self._among(
                one["parameter"], self.sweep.auto_parameters(one["arm"]), f"{place}: parameter"
            )
        for number, one in enumerate(self.dump.failures):
            place = f"{self._sheet}: failures: {number}"
            self._among(one["arm"], self.sweep.arms, f"{place}: arm")
            slot = (one["arm"], one["repeat"], one["slot"])
            if slot[1:] != (None, None) and slot not in self._slots:
                raise InputError(f"{place}: the sweep has no slot {_named(slot)}")
        for number, drift in enumerate(self.dump.drifts):
            for one in drift["redone"]:
                slot = (one["arm"], one["repeat"], one["slot"])
                if slot not in self.places:
                    place = f"{self._sheet}: drifts: {number}: redone"
                    raise InputError(f"{place}: no trial is on record of {_named(slot)}")
        self._facts()

    def confirms(self, search: "Export") -> None:
        """Check that this confirms what is on record of a search. Raises InputError."""
        chosen = self.sweep.confirms
        if chosen is None or chosen.of != search.sweep.name:
            text = f"must be the confirmation of {search.sweep.name}, got {self.sweep.name}"
            raise InputError(f"{self._sheet}: spec: {text}")
        for arm, several in chosen.chosen.items():
            for one in several:
                if (arm, one.repeat, one.slot) not in search.places:
                    slot = _named((arm, one.repeat, one.slot))
                    text = f"no trial of the search is on record of {slot}"
                    raise InputError(f"{self._sheet}: spec: confirms.chosen: {text}")

    def _facts(self) -> None:
        ready = {arm: not self._drawn.auto_parameters(arm) for arm in self.sweep.arms}
        seen: set[tuple[str, int, int]] = set()
        trials: dict[str, set[int]] = {}
        for number, one in enumerate(self.dump.facts):
            place = f"{self._table}: row {number}"
            slot = (one["arm"], one["repeat"], one["slot"])
            self._same(one["sweep"], self.sweep.name, f"{place}: sweep")
            if slot not in self._slots:
                raise InputError(f"{place}: the sweep has no slot {_named(slot)}")
            if slot in seen:
                raise InputError(f"{place}: {_named(slot)} stands twice")
            seen.add(slot)
            self._same(one["study"], self.sweep.study(*slot[:2]), f"{place}: study")
            self._among(one["provenance"], self._origins, f"{place}: provenance")
            of_study = trials.setdefault(one["study"], set())
            if one["trial"] in of_study:
                raise InputError(f"{place}: trial: {one['trial']} of {one['study']} stands twice")
            of_study.add(one["trial"])
            if not ready[slot[0]]:
                text = f"the range of a strength of {slot[0]} is missing in {self._sheet}: brackets"
                raise InputError(f"{place}: {text}")
            self._params(one, place)
            self._config(one, place)
        self._numbers(trials)

    def _numbers(self, trials: Mapping[str, set[int]]) -> None:
        """Numbers between were attempts that came to nothing: there are not many more."""
        sizes = Counter(self.sweep.study(arm, repeat) for arm, repeat, _ in self._slots)
        for study, numbers in trials.items():
            most = sizes[study] + len(self.dump.failures) + _SPARE
            if max(numbers) >= most:
                text = f"must be < {most} in {study}, got {max(numbers)}"
                raise InputError(f"{self._table}: trial: {text}")

    def _params(self, one: Mapping[str, Any], place: str) -> None:
        params, confirms = one["params"], self.sweep.confirms
        if confirms:
            chosen, _ = confirms.at(one["arm"], one["repeat"], one["slot"])
            self._same(params, chosen.params, f"{place}: params")
        # Of a confirmation too: what it has chosen is nowhere else checked.
        domains = self._drawn.domains(one["arm"])
        if params.keys() != domains.keys():
            text = f"must be {', '.join(domains) or 'none'}, got {shown(list(params))}"
            raise InputError(f"{place}: params: {text}")
        for key, domain in domains.items():
            value = params[key]
            if isinstance(domain, Choice):
                inside = any(value == of and type(value) is type(of) for of in domain.choice)
            elif isinstance(domain, Uniform | LogUniform | Integer):
                kinds = int if isinstance(domain, Integer) else int | float
                low, high = domain.bounds
                inside = isinstance(value, kinds) and not isinstance(value, bool)
                inside = inside and low <= float(value) <= high
            else:
                raise AssertionError("a range that is missing was told of before")
            if not inside:
                text = f"must lie in what the study says of it, got {shown(value)}"
                raise InputError(f"{place}: params: {key}: {text}")

    def _config(self, one: Mapping[str, Any], place: str) -> None:
        """The configuration follows from the study and what was searched."""
        config = self.sweep.config(one["arm"], one["repeat"], one["slot"], one["params"])
        try:
            right = trial_records.config_of(one["config"]) == config
        except (KeyError, TypeError, ValueError, AttributeError):
            right = False
        if not right:
            text = "must be what the study makes of its params"
            raise InputError(f"{place}: config: {text}, got {shown(one['config'])}")
        for key, value in trial_records.config_row(config).items():
            if key != "config":
                self._same(one[key], value, f"{place}: {key}")
        recipe = config.recipe
        for key, most in (("curve", recipe.curve), ("finetuned", recipe.finetuned_curve)):
            densities = [point[0] for point in one.get(key) or ()]
            if len(densities) > len(most) or len(set(densities)) < len(densities):
                text = f"must have a point for each of {len(most)} densities at most"
                raise InputError(f"{place}: {key}: {text}, got {len(densities)}")

    def _once(self, name: str, key: Callable[[Mapping[str, Any]], Any]) -> None:
        twice = _twice(key(one) for one in getattr(self.dump, name))
        for value in twice:
            raise InputError(f"{self._sheet}: {name}: {shown(value)} stands twice")

    @staticmethod
    def _same(value: object, wanted: object, place: str) -> None:
        if value != wanted:
            raise InputError(f"{place}: must be {shown(wanted)}, got {shown(value)}")

    @staticmethod
    def _among(value: str, known: Iterable[str], place: str) -> None:
        if value not in known:
            raise InputError(f"{place}: this export has none, got {shown(value)}")


def _twice(values: Iterable[Any]) -> Iterator[Any]:
    return (value for value, count in Counter(values).items() if count > 1)


def _named(slot: Sequence[object]) -> str:
    arm, repeat, number = slot
    return f"{shown(arm)}, repeat {repeat}, slot {number}"
