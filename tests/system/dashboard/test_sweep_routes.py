"""Our own pages: what they are drawn from is what is on record, also while trials end."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import create_engine, text

from support.databases import on_sqlite
from support.factories import (
    make_bracket,
    make_fact,
    make_provenance,
    make_record,
    make_status,
    make_sweep,
)
from support.fakes import auto_sweep, fake_result, fake_train, ladder_sweep, small_sweep
from support.pages import confirmed, get, searched
from support.processes import wait_for
from sweeper import lifecycle
from sweeper.analysis import LEVELS, attainment, fronts, fronts_by_repeat
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.dashboard import Application
from sweeper.dashboard.sweeps.fronts_json import confirmed_payload
from sweeper.dashboard.sweeps.sweep_cache import SweepCache
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.training.checkpoint import from_safetensors
from sweeper.types import (
    Scalar,
    SizeMeasure,
    Track,
    TrialConfig,
    TrialOutcome,
    TrialRecord,
    TrialResult,
)
from sweeper.worker.worker_loop import work

ORIGIN = make_provenance()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Sweep, Any]]:
    """A finished sweep with its confirmation, and the application that shows it."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('pages')}/sweeps.db")
    sweep = searched(store)
    confirmed(store, sweep)
    with closing(Application(store)) as app:
        yield store, sweep, app
    store.close()


@pytest.fixture
def app(store: Store) -> Iterator[Application]:
    """The application on a storage that a test may change."""
    with closing(Application(store)) as opened:
        yield opened


def judged(fact: TrialRecord, track: Track, size: SizeMeasure) -> tuple[int, float]:
    network = fact.result.judged(track)
    assert network is not None
    return getattr(network, size), network.val_accuracy


@pytest.mark.parametrize("track", get_args(Track))
@pytest.mark.parametrize("size", get_args(SizeMeasure))
def test_fronts_are_those_of_the_facts(
    shown: tuple[Store, Sweep, Any], track: Track, size: SizeMeasure
) -> None:
    store, sweep, app = shown
    payload = get(app, f"/sweeps/tiny/fronts.json?track={track}&size={size}").json()
    assert (payload["track"], payload["size"]) == (track, size)
    assert [arm["name"] for arm in payload["arms"]] == list(sweep.arms)
    for arm in payload["arms"]:
        facts = [
            fact
            for fact in store.records("tiny")
            if fact.slot.arm == arm["name"] and fact.result.state == "complete"
        ]
        # Oracle: the definition of dominance; of equal ones the first in (repeat, slot).
        wanted = []
        for index, one in enumerate(facts):
            (small, right) = judged(one, track, size)
            if not any(
                (other_small, -other_right) != (small, -right)
                and other_small <= small
                and other_right >= right
                for other in facts
                for other_small, other_right in [judged(other, track, size)]
            ) and (small, right) not in [judged(fact, track, size) for fact in facts[:index]]:
                wanted.append(one)
        found = {(point["repeat"], point["slot"]): point for point in arm["points"]}
        assert found.keys() == {(fact.slot.repeat, fact.slot.number) for fact in wanted}
        for fact in wanted:
            point, network = found[fact.slot.repeat, fact.slot.number], fact.result.judged(track)
            assert network is not None
            assert point["x"] == getattr(network, size)
            assert point["nonzero"] == network.nonzero
            assert point["effective"] == network.effective
            assert point["test_accuracy"] == pytest.approx(100 * network.test_accuracy)
            assert point["params"] == fact.params
        assert arm["trials"] == len(facts)


def test_lines_are_what_half_of_the_repeats_attain(shown: tuple[Store, Sweep, Any]) -> None:
    store, sweep, app = shown
    payload = get(app, "/sweeps/tiny/fronts.json").json()
    every = fronts_by_repeat(store.records("tiny"), sweep)
    assert all(len(of) == 2 for of in every.values())
    for arm in payload["arms"]:
        low, half, high = (attainment(every[arm["name"]], level) for level in LEVELS)
        assert [tuple(corner) for corner in arm["line"]][:-1] == [
            (size, pytest.approx(100 * height)) for size, height in half.corners
        ]
        for size, below, above in arm["band"]:
            assert below == pytest.approx(100 * (high.at(size) or 0))
            assert above == pytest.approx(100 * (low.at(size) or 0))


def test_the_smallest_networks_at_accuracies_are_named(shown: tuple[Store, Sweep, Any]) -> None:
    store, sweep, app = shown
    payload = get(app, "/sweeps/tiny/fronts.json").json()
    found = fronts(store.records("tiny"), sweep)
    reached = 0
    for arm in payload["arms"]:
        for target, index in zip(sweep.targets.accuracy, arm["at_accuracy"], strict=True):
            point = found[arm["name"]].at(accuracy=target)
            assert (index is None) == (point is None)
            if point is not None:
                reached += 1
                assert arm["points"][index]["nonzero"] == point.nonzero
    assert reached


@pytest.mark.parametrize("file", ["fronts.json", "confirmed.json"])
def test_each_network_links_to_its_trial(shown: tuple[Store, Sweep, Any], file: str) -> None:
    _, _, app = shown
    points = [p for arm in get(app, f"/sweeps/tiny/{file}").json()["arms"] for p in arm["points"]]
    assert points
    for point in points:
        for link in point.get("links", [point["link"]]):
            assert get(app, link).status == 200
            trial = get(app, f"{link}.json").json()
            assert trial["state"] == "complete"
            assert trial["is_confirmation"] == (file == "confirmed.json")
            if "params" in point:
                assert {v["name"]: v["value"] for v in trial["values"] if v["searched"]} == (
                    point["params"]
                )
                assert (trial["study"], trial["trial"]) == (point["study"], point["trial"])


def test_confirmed_networks_are_those_on_record(shown: tuple[Store, Sweep, Any]) -> None:
    store, _, app = shown
    payload = get(app, "/sweeps/tiny/confirmed.json").json()
    facts = store.records("tiny/confirmed")
    assert payload["done"] == payload["budget"] == len(facts)
    assert payload["seeds"] == 3
    for arm in payload["arms"]:
        mine = [fact for fact in facts if fact.slot.arm == arm["name"]]
        assert sum(point["seeds"] for point in arm["points"]) == len(mine)
        accuracies = sorted(value for point in arm["points"] for value in point["test_accuracies"])
        wanted = sorted(
            100 * network.test_accuracy if (network := fact.result.pruned) else 0.0 for fact in mine
        )
        assert accuracies == pytest.approx(wanted)
        for point in arm["points"]:
            mean = sum(point["test_accuracies"]) / point["seeds"]
            assert point["y"] == pytest.approx(mean, abs=1e-3)


@on_sqlite
def test_the_track_is_that_of_the_objective_unless_named(store: Store, app: Application) -> None:
    searched(store, sparsification={"track": "as_trained"})
    assert get(app, "/sweeps/tiny/status.json").json()["track"] == "as_trained"
    tracks = {
        query: get(app, f"/sweeps/tiny/fronts.json{query}").json()["track"]
        for query in ("", "?track=pruned", "?track=as_trained")
    }
    assert list(tracks.values()) == ["as_trained", "pruned", "as_trained"]


@on_sqlite
def test_before_all_is_confirmed_there_is_no_answer(store: Store, app: Application) -> None:
    sweep = searched(store, search={"repeats": 1})
    facts = store.records("tiny")
    lifecycle.register(store, confirmation_sweep(sweep, store.status("tiny"), facts, seeds=2))
    payload = get(app, "/sweeps/tiny/confirmed.json").json()
    assert payload["done"] == 0
    assert payload["answer"].endswith("0 are done: no answer before all are.")


def test_a_marker_keeps_its_configuration_where_sizes_are_equal_when_rounded() -> None:
    searches = [(0, 100.4), (1, 99.6), (2, 100.2), (3, 99.9)]
    arms = {"l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}}
    sweep = make_sweep(arms=arms, search={"trials": 1, "repeats": 4}, targets={"nonzero": [5000]})
    facts = [
        make_fact(sweep=sweep, arm="l1", repeat=repeat, slot=0, nonzero=100, val=0.9 + repeat / 100)
        for repeat, _ in searches
    ]
    again = confirmation_sweep(sweep, make_status(sweep, facts), facts, seeds=10)
    trained = [
        # Of ten seeds some have one parameter more or less: the mean is no whole number.
        make_fact(
            sweep=again,
            arm="l1",
            repeat=repeat,
            slot=slot,
            nonzero=100 + (1 if size > 100 else -1) * (slot < round(10 * abs(size - 100))),
            val=0.5,
            test=0.1 * (repeat + 1),
        )
        for repeat, size in searches
        for repeat_, slot in again.slots("l1")
        if repeat_ == repeat
    ]
    known = make_record(sweep, facts, confirmation=(again, trained)).confirmation
    assert known
    payload = confirmed_payload(known)
    (arm,) = (one for one in payload["arms"] if one["name"] == "l1")
    assert {point["x"] for point in arm["points"]} == {100}
    found = {point["repeat"]: point["y"] for point in arm["points"]}
    assert found == pytest.approx({repeat: 10.0 * (repeat + 1) for repeat, _ in searches})


def test_progress_is_that_of_the_store(shown: tuple[Store, Sweep, Any]) -> None:
    store, _, app = shown
    status = store.status("tiny")
    payload = get(app, "/sweeps/tiny/status.json").json()
    assert (payload["done"], payload["budget"]) == (status.done, status.budget)
    assert payload["state"] == "finished"
    assert payload["confirmed"] is True
    assert payload["workers"] == []
    assert payload["workers_gone"] == len(status.workers)
    assert [arm["name"] for arm in payload["arms"]] == [arm.arm for arm in status.arms]
    assert sum(arm["diverged"] for arm in payload["arms"]) == sum(
        arm.diverged for arm in status.arms
    )
    (row,) = get(app, "/sweeps/index.json").json()["sweeps"]
    assert row["subject"] == "mlp(32) on digits, 1 + 1 epochs"
    assert (row["name"], row["done"], row["confirmed"]["done"]) == (
        "tiny",
        status.done,
        store.status("tiny/confirmed").done,
    )


@on_sqlite
def test_the_newest_sweep_stands_first(store: Store, app: Application) -> None:
    names = ["first", "second", "third"]
    for name in names:
        lifecycle.register(store, small_sweep(name))
    rows = get(app, "/sweeps/index.json").json()["sweeps"]
    assert [row["name"] for row in rows] == names[::-1]
    assert {row["state"] for row in rows} == {"open"}


@on_sqlite
def test_workers_alive_are_shown_with_device_and_rate(store: Store, app: Application) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    worker = store.join("tiny", device="cuda:1")
    store.claim(worker, 2)
    store.renew(worker, progress=0.25)
    (row,) = get(app, "/sweeps/tiny/status.json").json()["workers"]
    assert (row["device"], row["slots"], row["progress"]) == ("cuda:1", 2, 0.25)
    assert row["trials_per_hour"] == 0


def test_what_did_not_change_is_not_sent_again_and_what_did_is(
    store: Store, app: Application
) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    before = get(app, "/sweeps/tiny/fronts.json")
    again = get(app, "/sweeps/tiny/fronts.json", if_none_match=before.headers["ETag"] or "")
    assert (again.status, again.body) == (304, b"")
    assert get(app, "/sweeps/tiny/fronts.json", if_none_match="*").status == 304
    work("tiny", store, pack=4, train=fake_train)
    after = get(app, "/sweeps/tiny/fronts.json", if_none_match=before.headers["ETag"] or "")
    assert after.status == 200
    assert after.json()["trials"] == 18


def record(store: Store, worker: str, number: int) -> None:
    """Record so many trials of the tiny sweep."""
    sweep = store.sweep("tiny")
    for trial, slot in enumerate(store.claim(worker, number)):
        params: dict[str, Scalar] = {"learning_rate": 0.05, "strength": 1e-3, "mix": 0.5}
        config = sweep.config(slot.arm, slot.repeat, slot.number, params)
        store.link(worker, {slot: 1000 * slot.repeat + 10 * slot.number + trial})
        facts = TrialOutcome(slot, 1000 * slot.repeat + 10 * slot.number + trial, params, config,
                        fake_result(config), ORIGIN)  # fmt: skip
        store.record(worker, [facts])


def test_facts_read_bit_by_bit_are_all_facts_also_late_ones(store: Store) -> None:
    lifecycle.register(store, small_sweep(search={"in_flight": 6}))
    worker, reader = store.join("tiny", device="cpu"), SweepCache(store)
    engine = create_engine(store.url, **store.engine_options)
    for number in (1, 2, 3, 1, 4):
        record(store, worker, number)
        assert reader.snapshot("tiny").records == store.records("tiny")
    record(store, worker, 2)
    with engine.begin() as connection:
        # A transaction that took an hour to end: its moment lies long before the last one seen.
        connection.execute(
            text(
                "UPDATE sweeper_fact SET recorded_at = recorded_at - 3600 WHERE recorded_at = "
                "(SELECT MAX(recorded_at) FROM sweeper_fact)"
            )
        )
    engine.dispose()
    assert reader.snapshot("tiny").records == store.records("tiny")
    assert len(reader.snapshot("tiny").records) == 13


@on_sqlite
def test_of_a_ladder_new_networks_alone_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ladder_sweep()
    lifecycle.register(store, sweep)

    def one_pack(configs: Sequence[TrialConfig], *_: Any, **options: Any) -> list[TrialResult]:
        store.stop("tiny")
        return fake_train(configs, **options)

    work("tiny", store, pack=6, train=one_pack)
    reader = SweepCache(store)
    before = reader.snapshot("tiny").records
    assert before == store.records("tiny")
    lifecycle.register(store, sweep)
    work("tiny", store, pack=6, train=fake_train)
    whole = store.records("tiny")
    monkeypatch.setattr(Store, "records", lambda *_: pytest.fail("all are read again"))
    again = reader.snapshot("tiny")
    assert again.records == whole
    assert 0 < len(before) < len(whole)
    assert again.places == {record.place for record in whole}
    assert again.newest == max(record.recorded_at for record in whole)


def test_a_sweep_that_was_deleted_and_made_again_is_another_one(
    store: Store, app: Application
) -> None:
    searched(store, search={"repeats": 1})
    before = get(app, "/sweeps/tiny/fronts.json").json()
    assert before["trials"] == 18
    lifecycle.delete(store, "tiny")
    assert get(app, "/sweeps/tiny/fronts.json").status == 404
    searched(store, search={"repeats": 1}, seed=7)
    after = get(app, "/sweeps/tiny/fronts.json").json()
    assert after["trials"] == 18
    assert after["arms"] != before["arms"]


@on_sqlite
def test_ranges_are_shown_before_there_is_any_fact(store: Store, app: Application) -> None:
    lifecycle.register(store, auto_sweep())
    assert get(app, "/sweeps/tiny/status.json").json()["ranges"] == []
    worker = store.join("tiny", device="cpu")
    task = store.claim_probe(worker)
    assert task is not None
    store.record_range(worker, task, make_bracket().range, ORIGIN)
    wait_for(lambda: get(app, "/sweeps/tiny/status.json").json()["ranges"])
    (row,) = get(app, "/sweeps/tiny/status.json").json()["ranges"]
    assert (row["arm"], row["parameter"]) == (task.arm, task.parameter)


@on_sqlite
def test_a_sweep_of_another_version_leaves_the_others_to_be_seen(
    store: Store, app: Application
) -> None:
    for name in ("good", "odd"):
        lifecycle.register(store, small_sweep(name))
    engine = create_engine(store.url, **store.engine_options)
    with engine.begin() as connection:
        spec = '{"name": "odd", "from": "the future"}'
        connection.execute(
            text("UPDATE sweeper_sweep SET spec = :spec WHERE name = 'odd'"), {"spec": spec}
        )
    engine.dispose()
    index = get(app, "/sweeps/index.json").json()
    assert [row["name"] for row in index["sweeps"]] == ["good"]
    assert index["unreadable"] == ["odd"]
    page = get(app, "/sweeps/odd/status.json")
    assert page.status == 503
    assert "another version" in page.json()["reason"]


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip, br", True), ("br", False), ("", False), ("gzip;q=0", False), ("gzip; q=0.5", True)],
)
def test_packing_is_a_matter_of_the_browser(
    shown: tuple[Store, Sweep, Any], accepted: str, packed: bool
) -> None:
    _, _, app = shown
    page = get(app, "/sweeps/tiny/fronts.json", accept_encoding=accepted)
    assert ("Content-Encoding" in page.headers) is packed
    assert json.loads(page.unpacked if packed else page.body)["name"] == "tiny"


def test_downloads_hold_what_is_on_record(shown: tuple[Store, Sweep, Any]) -> None:
    store, sweep, app = shown
    page = get(app, "/sweeps/tiny/facts.csv")
    assert page.headers["Content-Disposition"] == 'attachment; filename="tiny-facts.csv"'
    rows = list(csv.DictReader(io.StringIO(page.body.decode())))
    assert len(rows) == len(store.records("tiny"))
    again = list(csv.DictReader(io.StringIO(get(app, "/sweeps/tiny/confirmed.csv").body.decode())))
    assert len(again) == len(store.records("tiny/confirmed"))
    front = list(csv.DictReader(io.StringIO(get(app, "/sweeps/tiny/fronts.csv").body.decode())))
    made = fronts(store.records("tiny"), sweep)
    assert len(front) == sum(len(one.points) for one in made.values())
    report = get(app, "/sweeps/tiny/report.html")
    assert b"Confirmed with fresh seeds" in report.body
    assert "attachment" in (report.headers["Content-Disposition"] or "")
    assert get(app, "/sweeps/tiny/networks.zip").status == 404


def test_kept_networks_are_packed_into_one_file(sqlite_url: str, tmp_path: Path) -> None:
    from sweeper import api

    store = Store(sqlite_url)
    arms = {"l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-3]}}}
    sweep = small_sweep(
        arms=arms,
        training={"epochs": 8, "learning_rate": 0.1},
        search={"trials": 2},
        targets={"nonzero": [200_000]},
    )
    options: Any = {"device": "cpu", "workers": 1}
    api.run(sweep, sqlite_url, pack=2, **options)
    api.confirm("tiny", sqlite_url, seeds=2, artifacts=str(tmp_path / "kept"), **options)
    with closing(Application(store, str(tmp_path / "kept"))) as app:
        assert get(app, "/sweeps/tiny/status.json").json()["networks"] is True
        packed = zipfile.ZipFile(io.BytesIO(get(app, "/sweeps/tiny/networks.zip").body))
    facts = store.records("tiny/confirmed")
    assert packed.namelist() == [
        f"{f.slot.arm}/{f.slot.repeat}-{f.slot.number}{NETWORK}" for f in facts
    ]
    for fact, name in zip(facts, packed.namelist(), strict=True):
        assert fact.result.pruned is not None
        tensors = from_safetensors(packed.read(name), name)
        assert sum(int((one != 0).sum()) for one in tensors.values()) == fact.result.pruned.nonzero
    store.close()


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/sweeps/nobody/status.json", 404, "no such sweep: got 'nobody'; allowed: tiny"),
        ("/sweeps/nobody/fronts.json", 404, "no such sweep: got 'nobody'; allowed: tiny"),
        ("/sweeps/tiny/nothing.json", 404, "there is no such page"),
        ("/sweeps/_assets/nothing.js", 404, "there is no such file"),
        ("/sweeps/_assets/..%2f..%2fserver.py", 404, "there is no such"),
        ("/sweeps/tiny/fronts.json?track=both", 400, "track: got 'both'; allowed: as_trained, pr"),
        ("/sweeps/tiny/fronts.json?size=big", 400, "size: got 'big'; allowed: effective, nonzero"),
    ],
)
def test_what_is_not_there_or_wrong_is_one_line(
    shown: tuple[Store, Sweep, Any], path: str, status: int, reason: str
) -> None:
    _, _, app = shown
    page = get(app, path)
    assert page.status == status
    assert reason in page.json()["reason"]
    assert "\n" not in page.json()["reason"]


def test_addresses_without_their_last_slash_lead_on(shown: tuple[Store, Sweep, Any]) -> None:
    _, _, app = shown
    for path in ("/sweeps", "/sweeps/tiny"):
        page = get(app, path)
        assert (page.status, page.headers["Location"]) == (301, f"{path}/")
    assert get(app, "/sweeps/nobody/").status == 404
    assert get(app, "/sweeps/tiny/").status == 200


def test_nothing_of_ours_is_changed_by_anybody(shown: tuple[Store, Sweep, Any]) -> None:
    _, _, app = shown
    for path in ("/sweeps/", "/sweeps/index.json", "/sweeps/tiny/", "/sweeps/tiny/status.json"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert get(app, path, method).status == 405


def test_a_database_without_our_tables_says_what_to_do(sqlite_url: str) -> None:
    with closing(Store(sqlite_url)) as store, closing(Application(store)) as app:
        page = get(app, "/sweeps/index.json")
        assert page.status == 503
        assert "sweeper db upgrade" in page.json()["reason"]


def test_a_database_that_is_away_is_one_line_without_its_name(tmp_path: Path) -> None:
    place = tmp_path / "secret-place.db"
    with closing(Store(f"sqlite:///{place}")) as store, closing(Application(store)) as app:
        searched(store, search={"repeats": 1})
        assert get(app, "/sweeps/tiny/fronts.json").status == 200
        store.close()
        for file in tmp_path.glob("secret-place.db*"):
            file.write_bytes(b"no database at all" * 1000)
        page = get(app, "/sweeps/tiny/fronts.json")
        assert page.status == 503
        assert page.json()["reason"] == "the database does not answer at the moment"
