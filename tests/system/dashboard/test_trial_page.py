"""Pages of trials: what they were given and measured, their curves, attempts and output."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browsers import chromium, needs_chromium
from support.dashboard_server import running
from support.fakes import fake_train, ladder_sweep, optuna_storage, small_sweep
from support.pages import get, searched
from support.script_records import flops_sweep, searched_flops
from sweeper import lifecycle
from sweeper.dashboard.server.application import Application
from sweeper.store import Store
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.trial_folder import TrialFolder
from sweeper.types import TrialRecord
from sweeper.worker.worker_loop import work

SECONDS = 240_000  # of a busy machine, in ms
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A finished, confirmed sweep of a script."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('trials')}/sweeps.db")
    store.upgrade()
    searched_flops(store, seeds=2)
    lifecycle.register(store, ladder_sweep(search={"trials": 2}))
    work("tiny", store, pack=4, train=fake_train)
    yield store
    store.close()


@pytest.fixture(scope="module")
def app(shown: Store) -> Iterator[Application]:
    application = Application(shown)
    yield application
    application.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def complete(store: Store, arm: str) -> TrialRecord:
    records = store.records("mine")
    return next(r for r in records if r.slot.arm == arm and r.result.state == "complete")


def path_of(record: TrialRecord) -> str:
    return "/sweeps/{}/{}/{}/{}".format(record.slot.sweep, *record.slot.place)


def test_a_trial_has_all_that_is_on_record_of_it(shown: Store, app: Any) -> None:
    record = complete(shown, "l1")
    trial = get(app, f"{path_of(record)}.json").json()
    assert record.result.pruned is not None
    assert (trial["state"], trial["trial"], trial["study"]) == (
        "complete", record.trial, record.slot.study,
    )  # fmt: skip
    values = {row["name"]: (row["value"], row["searched"]) for row in trial["values"]}
    assert values["epochs"] == (12, False)
    assert values["strength"] == (record.params["strength"], True)
    assert values["seed"] == (record.config.init_seed, False)
    assert trial["sizes"]["head"][1:] == ["FLOPs", "validation F1 %", "test F1 %"]
    assert trial["sizes"]["rows"][0][1] == record.result.pruned.nonzero
    assert dict(trial["numbers"]) == dict(record.result.numbers)
    assert [curve["y_name"] for curve in trial["curves"]] == ["validation F1 (%)", "loss"]
    assert (trial["attempts"], trial["log"], trial["layers"]) == ([], None, [])
    address = r"/dashboard/studies/(\d+)/trials\?numbers=(\d+)"
    ((study, number),) = re.findall(address, trial["optuna"])
    storage = optuna_storage(shown.url)
    assert storage.get_study_name_from_id(int(study)) == record.slot.study
    assert storage.get_all_trials(int(study))[int(number)].params == record.params


def test_a_network_of_a_pack_has_both_tracks_and_its_layers(store: Store) -> None:
    sweep = searched(store)
    app = Application(store)
    try:
        record = next(r for r in store.records("tiny") if r.result.state == "complete")
        trial = get(app, f"{path_of(record)}.json").json()
    finally:
        app.close()
    assert record.result.pruned is not None
    assert [row[0] for row in trial["sizes"]["rows"]] == ["pruned track", "as-trained track"]
    assert trial["sizes"]["rows"][0][1:4] == [
        record.result.pruned.nonzero, record.result.pruned.effective, record.result.total,
    ]  # fmt: skip
    assert [layer["weights"] for layer in trial["layers"]] == [record.result.pruned.weights]
    names = {row["name"] for row in trial["values"]}
    assert {"learning_rate", "momentum"} <= names
    assert sweep.subject == trial["subject"] == "mlp(32) on digits"


def test_a_slot_shows_all_of_its_networks_each_with_its_trial_in_optuna(
    shown: Store, app: Any
) -> None:
    records = [r for r in shown.records("tiny") if r.slot.place == ("l1", 0, 1)]
    trial = get(app, f"{path_of(records[0])}.json").json()
    densities = ["density 0.2", "density 0.1", "density 0.05"]
    names = [f"seed {seed}, {density}" for seed in (0, 1) for density in densities]
    trained = ["seed 0, as-trained track", "seed 1, as-trained track"]
    assert [row[0] for row in trial["sizes"]["rows"]] == names + trained
    numbers = [int(link.rpartition("=")[2]) for link in trial["sizes"]["links"]]
    assert numbers == [*(r.trial for r in records), records[0].trial, records[3].trial]
    assert (trial["trial"], trial["last_trial"]) == (numbers[0], numbers[0] + 5)
    assert trial["layers_of"] == names[0]
    values = {row["name"]: row["value"] for row in trial["values"]}
    assert values["densities"] == "0.2, 0.1, 0.05"
    seeds = [records[0].config.init_seed, records[3].config.init_seed]
    assert [values["seed 0"], values["seed 1"]] == seeds
    status = get(app, "/sweeps/tiny/status.json").json()
    assert "each trial: 2 trainings with seeds of their own, each cut at 3" in status["question"]
    assert [(arm["done"], arm["networks"]) for arm in status["arms"]] == [(2, 12)] * 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sweeps/mine/l1/0/999", 404),
        ("/sweeps/mine/nobody/0/0", 404),
        ("/sweeps/nobody/l1/0/0", 404),
        ("/sweeps/mine/l1/0/999999999", 404),
        ("/sweeps/mine/l1/0/99999999999999999999", 404),
        ("/sweeps/mine/l1/-1/0", 404),
        ("/sweeps/mine/..%2f..%2fetc/0/0", 404),
    ],
)
def test_what_is_no_trial_is_refused_in_one_line(app: Any, path: str, status: int) -> None:
    refused = get(app, f"{path}.json")
    assert refused.status == get(app, path).status == status
    assert set(refused.json()) == {"reason"}


def test_every_confirmed_network_leads_to_each_of_its_trainings(shown: Store, app: Any) -> None:
    payload = get(app, "/sweeps/mine/confirmed.json").json()
    links = [link for arm in payload["arms"] for point in arm["points"] for link in point["links"]]
    trained = {path_of(record) for record in shown.records("mine/confirmed")}
    assert trained >= {*links} != set()
    trial = get(app, f"{links[0]}.json").json()
    assert (trial["is_confirmation"], trial["sweep"]) == (True, "mine")


def failing(store: Store, folder: Path, name: str = "broken") -> str:
    """Have a trial fail once and be claimed again; return its path."""
    sweep = flops_sweep(name)
    lifecycle.register(store, sweep)
    worker = store.join(name, device="cpu")
    (slot,) = store.claim(worker, 1)
    store.release(worker, [slot], error=f"ValueError: {EVIL}, train.py:12")
    (again,) = store.claim(worker, 1)
    assert again.place == slot.place
    arm, repeat, number = slot.place
    identity = store.identity(name)
    mark = AttemptMark(f"{identity}/{sweep.study(arm, repeat)}/{repeat}/{number}/abc", 2)
    trial = TrialFolder(folder / name / arm / f"{repeat}-{number}", mark)
    trial.begin()
    trial.log.write_text(f"epoch 1\n\x1b[31m{EVIL}\n", encoding="utf-8")
    trial.curve_file.write_text('[1, {"val_f1": 0.5}]\n[2, {"val_f1": 0.8}]\n', encoding="utf-8")
    return f"/sweeps/{name}/{arm}/{repeat}/{number}"


def test_a_trial_that_failed_and_is_tried_again_shows_both(
    shown: Store, app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_TRIALS", str(tmp_path))
    path = failing(shown, tmp_path)
    trial = get(app, f"{path}.json").json()
    assert (trial["state"], trial["is_done"], trial["sizes"]) == ("in work", False, None)
    (lost,) = trial["attempts"]
    assert (lost["kind"], lost["error"]) == ("error", f"ValueError: {EVIL}, train.py:12")
    assert trial["log"]["text"].splitlines()[0] == "epoch 1"
    assert "\x1b" not in trial["log"]["text"]
    (curve,) = trial["curves"]
    assert curve["figure"]["data"][0]["y"] == [50.0, 80.0, None]
    arms = get(app, "/sweeps/broken/status.json").json()["arms"]
    assert path in {arm["last_error_link"] for arm in arms}


def test_a_pack_has_no_log_whatever_lies_in_a_folder_of_its_name(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_TRIALS", str(tmp_path))
    lifecycle.register(store, small_sweep())
    folder = tmp_path / "tiny" / "l1" / "0-0"
    (folder / ".sweeper").mkdir(parents=True)
    AttemptMark(f"{store.identity('tiny')}/tiny/l1/0/0/0/abc", 1).write(
        folder / ".sweeper" / "attempt.json"
    )
    (folder / "output.log").write_text("not of a pack", encoding="utf-8")
    app = Application(store)
    try:
        assert get(app, "/sweeps/tiny/l1/0/0.json").json()["log"] is None
    finally:
        app.close()


def opened(browser: Browser, address: str, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(SECONDS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(address)
    return page, wrong


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_values_curves_and_the_way_to_optuna(
    browser: Browser, shown: Store, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    record = complete(shown, "deep")
    with running(shown, monkeypatch) as url:
        page, wrong = opened(browser, url.rstrip("/") + path_of(record), color_scheme=scheme)
        expect(page.locator("#curves .main-svg").first).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "{}, repeat {}, slot {}".format(*record.slot.place)
        )
        expect(page.locator("#sizes thead")).to_contain_text("FLOPs")
        expect(page.locator("#numbers")).to_contain_text("latency_ms")
        expect(page.locator("#values")).to_contain_text("epochs")
        expect(page.locator("#curves figure")).to_have_count(2)
        # Side by side, each within its half of the page.
        plots = page.locator("#curves .main-svg:first-child").all()
        boxes = [plot.bounding_box() for plot in plots]
        assert all(box and box["x"] + box["width"] <= 1280 for box in boxes)
        assert page.locator("#log-part").is_hidden()
        page.get_by_role("link", name="in the Optuna dashboard").click()
        page.wait_for_url(re.compile(rf"numbers={record.trial}$"))
        # What Optuna was told of it: its numbers, and points of its curve.
        expect(page.get_by_text("latency_ms").first).to_be_visible()
        expect(page.get_by_text("learning_curve").first).to_be_visible()
        assert wrong == []
        page.context.close()


@needs_chromium
def test_a_browser_leads_from_a_network_of_a_ladder_to_its_trial(
    browser: Browser, shown: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(r for r in shown.records("tiny") if r.network == 4)
    with running(shown, monkeypatch) as url:
        page, wrong = opened(browser, url.rstrip("/") + path_of(record))
        expect(page.get_by_text(re.compile(r"^trials \d+ to \d+ of tiny/"))).to_be_visible()
        link = page.get_by_role("link", name="seed 1, density 0.1")
        expect(link).to_have_attribute("href", re.compile(rf"numbers={record.trial}$"))
        expect(page.locator("#layers")).to_contain_text("Of the network with seed 0, density 0.2.")
        assert wrong == []
        page.context.close()


@needs_chromium
def test_a_failing_trial_shows_its_error_and_output_as_text(
    browser: Browser, shown: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_TRIALS", str(tmp_path))
    path = failing(shown, tmp_path, "failing")
    with running(shown, monkeypatch) as url:
        page, wrong = opened(
            browser, f"{url}sweeps/failing/", viewport={"width": 390, "height": 844}
        )
        page.get_by_role("link", name=EVIL).click()
        page.wait_for_url(f"**{path}")
        expect(page.locator("#attempts")).to_contain_text(EVIL)
        expect(page.locator("#log")).to_contain_text("epoch 1\n")
        expect(page.locator("#log")).to_contain_text(EVIL)
        expect(page.locator(".state")).to_contain_text("in work on")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert wrong == []
        page.context.close()


@needs_chromium
def test_the_page_of_a_sweep_draws_the_curves_and_one_leads_to_its_trial(
    browser: Browser, shown: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(shown, monkeypatch) as url:
        page, wrong = opened(browser, f"{url}sweeps/mine/")
        expect(page.locator("#learning .main-svg").first).to_be_visible()
        expect(page.locator("#learning-caption")).to_contain_text("Validation F1 (%) of networks")
        traces = page.evaluate("document.getElementById('learning').data.map((t) => t.name)")
        assert [*dict.fromkeys(traces)] == ["plain", "l1", "deep"]
        # What belongs to packs is not there to be chosen.
        expect(page.get_by_role("radio", name="as trained")).to_be_hidden()
        expect(page.get_by_role("checkbox", name="published")).to_be_hidden()
        expect(page.get_by_role("checkbox", name="bands")).to_be_visible()
        link = page.evaluate("document.getElementById('learning').data[0].customdata[0].at(-1)")
        with page.context.expect_page() as trial:
            page.evaluate(
                "(link) => document.getElementById('learning').emit('plotly_click',"
                " {points: [{customdata: ['', link]}]})",
                link,
            )
        assert trial.value.url.endswith(link)
        assert wrong == []
        page.context.close()
