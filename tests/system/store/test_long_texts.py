"""Texts of any length, the same on every database: none cuts one, and none refuses another's."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from alembic import command, op
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import String, Text, inspect, select, text

from support import claimer
from support.database_edits import alembic
from sweeper.config import Choice, Sweep
from sweeper.errors import InputError, SchemaError, StorageError, UnknownSweepError
from sweeper.search import SweepStudies
from sweeper.search.samplers import brief
from sweeper.store import Store, tables
from sweeper.store.database import Database
from sweeper.store.storage_url import parse_storage_url

LONG = 7000
"""Values of a choice, which takes more than 64 KB as JSON."""
LAX = "?init_command=SET SESSION sql_mode=''"


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres), "mariadb", "lax"]
)
def opened(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on each kind of database; on a MySQL that would cut what is too long, too."""
    kind = "mariadb" if request.param == "lax" else request.param
    url = str(request.getfixturevalue(f"{kind}_url")) + (LAX if request.param == "lax" else "")
    with closing(Store(url)) as store:
        store.upgrade()
        yield store


def long_sweep(sweep: Sweep, **search: Any) -> Sweep:
    spec = sweep.model_dump(mode="json")
    values = [(1 + number / 9999) * 1e-4 for number in range(LONG)]
    arms = {"none": {}, "l1": {"penalty": "l1", "strength": {"choice": values}}}
    return Sweep.model_validate({**spec, "arms": arms, "search": {**spec["search"], **search}})


def searching(store: Store, sweep: Sweep) -> SweepStudies:
    return SweepStudies(store.url, sweep, engine_options=store.engine_options)


def test_a_sweep_of_more_than_64_kb_is_registered_searched_and_read(
    opened: Store, sweep: Sweep
) -> None:
    sweep = long_sweep(sweep)
    assert len(sweep.canonical) > 2 * 65_535
    assert opened.register(sweep) == "new"
    assert opened.sweep(sweep.name) == sweep
    asked = {}
    with closing(searching(opened, sweep)) as search:
        search.create()
        worker = opened.join(sweep.name, device="cpu")
        slots = [slot for slot in opened.claim(worker, 6) if slot.arm == "l1"]
        for slot, (found,) in search.ask(slots).items():
            asked[slot.number] = found.params["strength"]
            search.tell([(slot.study, found.trial, claimer.RESULT)])
        # The next generation learns from what Optuna keeps of the first.
        study = slots[0].study
        told = search._finished_slots(search._index.id(study))
        assert {one.slot: one.params["strength"] for one in told} == asked
    (domain,) = sweep.domains("l1").values()
    assert isinstance(domain, Choice)
    assert asked
    assert set(asked.values()) <= set(domain.choice)


def test_only_what_is_too_long_for_a_text_of_mysql_is_kept_as_a_range() -> None:
    short = CategoricalDistribution([1, 2.5])
    long = CategoricalDistribution([*range(LONG, 1, -1), 0.5])
    words = CategoricalDistribution(["x" * 99 + str(number) for number in range(LONG)])
    space: dict[str, Any] = {"short": short, "long": long}
    assert brief(space, 30_000) == {"short": short, "long": FloatDistribution(0.5, LONG)}
    assert brief(space, 10**6) == space
    with pytest.raises(InputError, match=r"words: its choice takes more than the 30,000 bytes"):
        brief({"words": words}, 30_000)


def test_a_server_that_is_not_strict_cuts_nothing_of_optunas_either(mariadb_url: str) -> None:
    with closing(Store(mariadb_url + LAX)) as store:
        storage = RDBStorage(store.url, engine_kwargs=dict(store.engine_options))
        study = storage.create_new_study([StudyDirection.MINIMIZE], "a")
        with pytest.raises(StorageInternalError):
            storage.set_study_user_attr(study, "key", "x" * 70_000)
        storage.remove_session()
        storage.engine.dispose()


def test_each_text_of_our_tables_is_held_to_its_length() -> None:
    for table in tables.metadata.sorted_tables:
        for column in table.columns:
            kind = column.type
            assert not isinstance(kind, String | Text) or type(kind).__module__ != "sqlalchemy", (
                column
            )
            if isinstance(kind, tables.KeyText | tables.MessageText | tables.LongText):
                continue
            assert not hasattr(kind, "length"), f"{column}: of which length on which database?"


@pytest.mark.parametrize("what", ["x" * 65, "with\0nul", "half \ud83d"])
def test_what_something_is_known_by_is_refused_alike_on_every_database(
    opened: Store, sweep: Sweep, what: str
) -> None:
    opened.register(sweep)
    row = {"sweep": sweep.name, "what": what, "taken_at": 0.0}
    with pytest.raises(StorageError, match="at most 64 characters of UTF-8") as caught:
        opened._database.write(lambda c: c.execute(tables.turn.insert().values(**row)))
    assert "\n" not in str(caught.value)


def test_what_is_only_shown_is_cut_alike_on_every_database(opened: Store, sweep: Sweep) -> None:
    opened.register(sweep)
    worker = opened.join(sweep.name, device="a device " * 20)
    (slot,) = opened.claim(worker, 1)
    opened.release(worker, [slot], error="of \0 the driver: \udcff")
    status = opened.status(sweep.name)
    assert status.workers[0].device == ("a device " * 20)[:64]
    said = [arm.last_error.text for arm in status.arms if arm.last_error]
    assert said == ["of \ufffd the driver: ?"]


def test_an_unknown_name_of_any_length_is_unknown(opened: Store) -> None:
    with pytest.raises(UnknownSweepError):
        opened.status("x" * 300)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_longer_texts_come_to_mysql_also_after_an_upgrade_that_was_cut_off(
    steps: int, mariadb_url: str, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of a column is there for good once it was made."""
    database = Database(parse_storage_url(mariadb_url))
    alembic(database, lambda config: command.upgrade(config, "0005"))
    row = {"name": "old", "digest": "", "spec": "{}", "state": "open", "created_at": 0.0}
    database.write(lambda c: c.execute(tables.sweep.insert().values(**row)))
    usual, left = op.alter_column, steps

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return usual(*arguments, **options)

    with closing(Store(mariadb_url)) as store:
        with monkeypatch.context() as patch:
            patch.setattr(op, "alter_column", counted)
            if steps < 3:
                with pytest.raises(KeyboardInterrupt):
                    store.upgrade()
        store.upgrade()
    alembic(database, command.check)
    found = database.read(lambda c: c.execute(select(tables.sweep)).one())
    assert {key: getattr(found, key) for key in row} == row
    kinds = database.read(lambda c: inspect(c).get_columns("sweeper_sweep"))
    assert {str(one["type"]) for one in kinds if one["name"] in {"spec", "error"}} == {"LONGTEXT"}
    # Back only while nothing is longer than it was before.
    long = "x" * 65_536
    database.write(lambda c: c.execute(tables.sweep.update().values(spec=long)))
    with pytest.raises(SchemaError, match=r"schema 0005 cannot hold 65,536 bytes in sweeper_sweep"):
        alembic(database, lambda config: command.downgrade(config, "0005"))
    database.write(lambda c: c.execute(text("UPDATE sweeper_sweep SET spec = '{}'")))
    alembic(database, lambda config: command.downgrade(config, "0005"))
    database.close()
