"""Names that a database may take for one: refused everywhere, and on record kept apart."""

from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from support.database_edits import as_of_before, marks
from support.fakes import (
    ONE,
    fake_train,
    one_arm,
    optuna_storage,
    optuna_study,
    small_sweep,
    study_names,
)
from sweeper import lifecycle
from sweeper.config import Sweep, name_clashes
from sweeper.config.name_clashes import refuse_alike
from sweeper.errors import InputError, SpecError
from sweeper.store import Store, registered_sweeps
from sweeper.worker.worker_loop import work

L1 = ONE["l1"]
TWINS = {"L1": L1, "l1": {**L1, "apply": "loss"}}


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register names that are alike, as older versions did."""
    monkeypatch.setattr(registered_sweeps, "_refuse_alike", lambda *arguments, **options: None)


@pytest.mark.parametrize(
    "other", ["L1", "ł1", "l1 ", "\N{FULLWIDTH LATIN SMALL LETTER L}1", "l\u03011", "ﬂag", "Straße"]
)
def test_what_collations_take_for_one_is_folded_to_one(other: str, mariadb_url: str) -> None:
    # Oracle: MariaDB itself, with its coarsest usual collations.
    pairs = [("l1", other), ("flag", other), ("strasse", other), ("l2", other)]
    with create_engine(mariadb_url).connect() as connection:
        for first, second in pairs:
            equal = any(
                connection.scalar(
                    text(
                        f"SELECT CONVERT(:a USING utf8mb4) = CONVERT(:b USING utf8mb4) COLLATE {c}"
                    ),
                    {"a": first, "b": second},
                )
                for c in ("utf8mb4_general_ci", "utf8mb4_unicode_ci")
            )
            if equal:
                assert name_clashes.folded(first) == name_clashes.folded(second)
    assert name_clashes.folded("l1") != name_clashes.folded("l2")
    assert name_clashes.folded("a-b") != name_clashes.folded("a_b")


def test_arms_that_differ_in_case_alone_are_refused_on_every_database(everywhere: Store) -> None:
    sweep = small_sweep(arms=TWINS)
    said = r"arms\.l1: differs from 'L1' in case alone, which MySQL and MariaDB take for one name"
    with pytest.raises(SpecError, match=f"^a.yaml: {said}"):
        refuse_alike(sweep, "a.yaml")
    with pytest.raises(SpecError, match=f"^tiny: {said}"):
        lifecycle.register(everywhere, sweep)
    assert everywhere.names() == ()
    lifecycle.register(everywhere, one_arm())
    with pytest.raises(SpecError, match=r"arms\.L1: differs from 'l1'"):
        lifecycle.register(everywhere, small_sweep(arms={"l1": L1, "L1": L1}), extend=True)
    assert study_names(everywhere.url) == ["tiny", "tiny/l1/0"]
    assert everywhere.status("tiny").budget == 6


def test_sweeps_that_differ_in_case_alone_are_refused_on_every_database(everywhere: Store) -> None:
    lifecycle.register(everywhere, one_arm())
    with pytest.raises(SpecError, match=r"^Tiny: name: differs from that of the sweep 'tiny' in"):
        lifecycle.register(everywhere, one_arm("Tiny"))
    assert everywhere.names() == ("tiny",)
    assert lifecycle.register(everywhere, one_arm()) == "resumed"


def test_searched_keys_that_differ_in_case_alone_are_refused(store: Store) -> None:
    domain = {"uniform": [0.1, 1]}
    arm = {"penalty": "mine:formula", "strength": 0.1, "Beta": domain, "beta": domain}
    with pytest.raises(SpecError, match=r"tiny: arms\.own: searches 'Beta' and 'beta'"):
        lifecycle.register(store, small_sweep(arms={"own": arm}))
    shared = {"penalty": "mine:formula", "strength": 0.1, "Density": domain}
    sweep = small_sweep(arms={"own": shared}, sparsification={"density": domain})
    with pytest.raises(SpecError, match=r"arms\.own: searches 'Density' and 'density'"):
        refuse_alike(sweep, "a.yaml")
    fixed = {**arm, "Beta": 0.5}
    assert name_clashes.problems(small_sweep(arms={"own": fixed})) == []


def test_what_is_on_record_under_such_names_goes_on_where_the_database_tells_them_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins, other = small_sweep(arms=TWINS), one_arm("Tiny")
    with monkeypatch.context() as patch:
        unchecked(patch)
        for sweep in (twins, other):
            lifecycle.register(store, sweep)
    for sweep in (twins, other):
        assert lifecycle.register(store, sweep) == "resumed"
        work(sweep.name, store, pack=6, train=fake_train)
    assert len(store.records("tiny")) == 12
    longer = small_sweep(arms={**TWINS, "dense": {}})
    assert lifecycle.register(store, longer, extend=True) == "extended"
    dump = store.dump("Tiny")
    lifecycle.delete(store, "Tiny")
    lifecycle.restore(store, dump)
    assert len(optuna_study(store.url, "Tiny/l1/0").trials) == 6
    lifecycle.delete(store, "tiny")
    assert sorted(study_names(store.url)) == ["Tiny", "Tiny/l1/0"]


def test_a_sweep_that_shared_anothers_studies_on_mysql_is_deleted_without_them(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(mariadb_url)) as store:
        store.upgrade()
        lifecycle.register(store, one_arm("casetest"))
        work("casetest", store, pack=6, train=fake_train)
        with monkeypatch.context() as patch:
            unchecked(patch)
            store.register(one_arm("CaseTest"))
        dump = store.dump("CaseTest")
        for _ in range(2):  # as of this version, and of an older one
            with pytest.raises(InputError, match="'casetest', 'casetest/l1/0'"):
                lifecycle.register(store, one_arm("CaseTest"))
            as_of_before(store)
        assert lifecycle.delete(store, "CaseTest") == ()
        assert sorted(study_names(store.url)) == ["casetest", "casetest/l1/0"]
        assert len(optuna_study(store.url, "casetest/l1/0").trials) == 6
        with pytest.raises(InputError, match="casetest"):
            lifecycle.restore(store, dump)
        assert store.names() == ("casetest",)
        assert lifecycle.register(store, one_arm("casetest")) == "resumed"


def test_a_users_study_whose_name_differs_in_case_alone_is_refused_on_mysql(
    mariadb_url: str,
) -> None:
    import optuna

    with closing(Store(mariadb_url)) as store:
        store.upgrade()
        optuna.create_study(storage=optuna_storage(store.url), study_name="TINY/L1/0")
        with pytest.raises(InputError, match="'TINY/L1/0'"):
            lifecycle.register(store, one_arm())
        assert store.names() == ()
        assert study_names(store.url) == ["TINY/L1/0"]
        assert marks(store, "TINY/L1/0") == {}


def test_every_committed_study_file_has_names_of_its_own(pytestconfig: Any) -> None:
    files = sorted((pytestconfig.rootpath / "studies").glob("*.yaml"))
    assert files
    for file in files:
        assert name_clashes.problems(Sweep.load(file)) == []
