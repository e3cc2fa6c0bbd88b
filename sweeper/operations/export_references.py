"""References between the rows of an export: what one names, another has, and once.

An export may be anybody's; each cell by itself is checked by `export_values`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sweeper.config import Choice, Integer, LogUniform, Uniform
from sweeper.config.given_params import given_params, moved_into_ranges
from sweeper.errors import InputError, shown
from sweeper.store import Dump, trial_records

_SPARE = 100
"""Trials of a study beyond its slots and attempts that are noted as lost: of workers that died
before they held the slot."""


class Export:
    """A sweep as it was read from an export, with the place of each of its rows there."""

    def __init__(self, dump: Dump, sheet: str, table: str) -> None:
        self.dump, self.sweep = dump, dump.sweep
        self._sheet, self._table = sheet, table
        ends = {(row["arm"], row["parameter"]): (row["low"], row["high"]) for row in dump.brackets}
        self._drawn = self.sweep.with_ranges(ends)
        self._slots = {
            (arm, repeat, slot) for arm in self.sweep.arms for repeat, slot in self.sweep.slots(arm)
        }
        self._many = self.sweep.networks_of_slot
        self._given = {_slot_of(row): row["params"] for row in dump.enqueued}
        self._origins = {row["digest"] for row in dump.provenance}
        self.places = {_slot_of(row) for row in dump.facts}

    def check(self) -> None:
        """Check that a row that is referred to is there, once. Raises InputError."""
        for name in ("provenance", "brackets", "failures", "drifts"):
            for number, row in enumerate(getattr(self.dump, name)):
                place = f"{self._sheet}: {name}: {number}"
                self._same(row["sweep"], self.sweep.name, f"{place}: sweep")
                if "provenance" in row:
                    self._among(row["provenance"], self._origins, f"{place}: provenance")
        self._once("provenance", lambda row: row["digest"])
        self._once("drifts", lambda row: row["id"])
        self._once("brackets", lambda row: (row["arm"], row["parameter"]))
        self._check_interventions()
        for number, row in enumerate(self.dump.brackets):
            place = f"{self._sheet}: brackets: {number}"
            self._among(row["arm"], self.sweep.arms, f"{place}: arm")
            self._among(
                row["parameter"], self.sweep.auto_parameters(row["arm"]), f"{place}: parameter"
            )
        for number, row in enumerate(self.dump.failures):
            place = f"{self._sheet}: failures: {number}"
            self._among(row["arm"], self.sweep.arms, f"{place}: arm")
            slot = (row["arm"], row["repeat"], row["slot"])
            if slot[1:] != (None, None) and slot not in self._slots:
                raise InputError(f"{place}: the sweep has no slot {_named(slot)}")
        for number, drift in enumerate(self.dump.drifts):
            for trial in drift["redone"]:
                slot = (trial["arm"], trial["repeat"], trial["slot"])
                if slot not in self.places or trial.get("network", 0) >= self._many:
                    place = f"{self._sheet}: drifts: {number}: redone"
                    raise InputError(f"{place}: no trial is on record of {_named(slot)}")
        self._check_trials()

    def _check_interventions(self) -> None:
        """Check what was paused, dropped and enqueued by hand."""
        for name in ("paused", "dropped", "enqueued"):
            for number, row in enumerate(getattr(self.dump, name)):
                place = f"{self._sheet}: {name}: {number}"
                self._same(row["sweep"], self.sweep.name, f"{place}: sweep")
                self._among(row["arm"], self.sweep.arms, f"{place}: arm")
                slot = (row["arm"], row.get("repeat"), row.get("slot"))
                if name != "paused" and slot not in self._slots:
                    raise InputError(f"{place}: the sweep has no slot {_named(slot)}")
                if name == "dropped" and (slot not in self.places or self._beyond(row["network"])):
                    raise InputError(f"{place}: no trial is on record of {_named(slot)}")
                if name == "enqueued":
                    _, problems = given_params(self.sweep, row["arm"], row["params"])
                    if problems:
                        raise InputError(f"{place}: params: {problems[0]}")
        self._once("paused", lambda row: row["arm"])
        self._once("dropped", lambda row: row["id"])
        self._once("enqueued", lambda row: (row["arm"], row["repeat"], row["slot"]))

    def _beyond(self, network: int | None) -> bool:
        return network is not None and network >= self._many

    def confirms(self, search: "Export") -> None:
        """Check that this confirms what is on record of a search. Raises InputError."""
        chosen = self.sweep.confirms
        if chosen is None or chosen.of != search.sweep.name:
            text = f"must be the confirmation of {search.sweep.name}, got {self.sweep.name}"
            raise InputError(f"{self._sheet}: spec: {text}")
        for arm, configs in chosen.chosen.items():
            for config in configs:
                if (arm, config.repeat, config.slot) not in search.places:
                    slot = _named((arm, config.repeat, config.slot))
                    text = f"no trial of the search is on record of {slot}"
                    raise InputError(f"{self._sheet}: spec: confirms.chosen: {text}")
                if not 0 <= config.rung < search.sweep.rungs:
                    text = f"must be < {search.sweep.rungs}, got {config.rung}"
                    raise InputError(f"{self._sheet}: spec: confirms.chosen: rung: {text}")

    def _check_trials(self) -> None:
        ready = {arm: not self._drawn.auto_parameters(arm) for arm in self.sweep.arms}
        seen: set[tuple[str, int, int, int]] = set()
        trials: dict[str, set[int]] = {}
        for number, row in enumerate(self.dump.facts):
            place = f"{self._table}: row {number}"
            slot = (row["arm"], row["repeat"], row["slot"])
            self._same(row["sweep"], self.sweep.name, f"{place}: sweep")
            if slot not in self._slots:
                raise InputError(f"{place}: the sweep has no slot {_named(slot)}")
            network = (*slot, row["network"])
            if row["network"] >= self._many:
                text = f"must be < {self._many}, the networks of a slot, got {row['network']}"
                raise InputError(f"{place}: network: {text}")
            if network in seen:
                which = f", network {row['network']}," if self._many > 1 else ""
                raise InputError(f"{place}: {_named(slot)}{which} stands twice")
            seen.add(network)
            self._same(row["study"], self.sweep.study(*slot[:2]), f"{place}: study")
            self._among(row["provenance"], self._origins, f"{place}: provenance")
            of_study = trials.setdefault(row["study"], set())
            if row["trial"] in of_study:
                raise InputError(f"{place}: trial: {row['trial']} of {row['study']} stands twice")
            of_study.add(row["trial"])
            if not ready[slot[0]]:
                text = f"the range of a strength of {slot[0]} is missing in {self._sheet}: brackets"
                raise InputError(f"{place}: {text}")
            self._check_params(row, place)
            self._check_config(row, place)
        self._check_slots()
        self._check_numbers(trials)

    def _check_slots(self) -> None:
        """Refuse a slot without all of its networks, one after the other in its study.

        What a training has once, the first of its networks has that did not diverge.
        """
        rows: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
        for row in self.dump.facts:
            rows.setdefault((row["arm"], row["repeat"], row["slot"]), []).append(row)
        for slot, of_slot in rows.items():
            of_slot.sort(key=lambda row: row["network"])
            place, first = f"{self._table}: {_named(slot)}", of_slot[0]["trial"]
            if len(of_slot) != self._many:
                text = f"must have all of its {self._many} networks, has {len(of_slot)}"
                raise InputError(f"{place}: {text}")
            for row in of_slot:
                self._same(row["trial"], first + row["network"], f"{place}: trial")
            for start in range(0, self._many, self.sweep.rungs):
                healthy = [
                    row
                    for row in of_slot[start : start + self.sweep.rungs]
                    if row["state"] != "diverged"
                ]
                for number, row in enumerate(healthy):
                    if ("as_trained" in row["layers"]) == (number > 0):
                        text = "stands with the first network of a training that did not diverge"
                        raise InputError(f"{place}: network {row['network']}: as_trained_*: {text}")

    def _check_numbers(self, trials: Mapping[str, set[int]]) -> None:
        """Refuse numbers far beyond: those between were attempts that came to nothing, a few."""
        sizes = Counter(self.sweep.study(arm, repeat) for arm, repeat, _ in self._slots)
        for study, numbers in trials.items():
            limit = self._many * (sizes[study] + len(self.dump.failures) + _SPARE)
            if max(numbers) >= limit:
                text = f"must be < {limit} in {study}, got {max(numbers)}"
                raise InputError(f"{self._table}: trial: {text}")

    def _check_params(self, row: Mapping[str, Any], place: str) -> None:
        params, confirms = row["params"], self.sweep.confirms
        if confirms:
            chosen, _ = confirms.at(row["arm"], row["repeat"], row["slot"])
            self._same(params, chosen.params, f"{place}: params")
        # Of a confirmation too: its selection is nowhere else checked.
        domains = self._drawn.domains(row["arm"])
        if params.keys() != domains.keys():
            text = f"must be {', '.join(domains) or 'none'}, got {shown(list(params))}"
            raise InputError(f"{place}: params: {text}")
        given = self._given.get(_slot_of(row), {})
        for key, value in moved_into_ranges(self._drawn, row["arm"], given).items():
            self._same(params[key], value, f"{place}: params: {key}, which is enqueued")
        for key, domain in domains.items():
            value = params[key]
            if isinstance(domain, Choice):
                inside = any(
                    value == choice and type(value) is type(choice) for choice in domain.choice
                )
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

    def _check_config(self, row: Mapping[str, Any], place: str) -> None:
        """Demand the configuration that follows from the study and the searched parameters."""
        slot = (row["arm"], row["repeat"], row["slot"])
        config = self.sweep.config(*slot, row["params"], row["network"])
        try:
            right = trial_records.config_of(row["config"]) == config
        except (KeyError, TypeError, ValueError, AttributeError):
            right = False
        if not right:
            text = "must be what the study makes of its params"
            raise InputError(f"{place}: config: {text}, got {shown(row['config'])}")
        for key, value in trial_records.config_row(config).items():
            if key != "config":
                self._same(row[key], value, f"{place}: {key}")
        recipe = config.recipe
        for key, allowed in (("curve", recipe.curve), ("finetuned", recipe.finetuned_curve)):
            densities = [point[0] for point in row.get(key) or ()]
            if len(densities) > len(allowed) or len(set(densities)) < len(densities):
                text = f"must have a point for each of {len(allowed)} densities at most"
                raise InputError(f"{place}: {key}: {text}, got {len(densities)}")

    def _once(self, name: str, key: Callable[[Mapping[str, Any]], Any]) -> None:
        for value in _twice(key(row) for row in getattr(self.dump, name)):
            raise InputError(f"{self._sheet}: {name}: {shown(value)} stands twice")

    @staticmethod
    def _same(value: object, wanted: object, place: str) -> None:
        if value != wanted:
            raise InputError(f"{place}: must be {shown(wanted)}, got {shown(value)}")

    @staticmethod
    def _among(value: str, names: Iterable[str], place: str) -> None:
        if value not in names:
            raise InputError(f"{place}: this export has none, got {shown(value)}")


def _twice(values: Iterable[Any]) -> Iterator[Any]:
    return (value for value, count in Counter(values).items() if count > 1)


def _slot_of(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["arm"], row["repeat"], row["slot"]


def _named(slot: Sequence[object]) -> str:
    arm, repeat, number = slot
    return f"{shown(arm)}, repeat {repeat}, slot {number}"
