"""Optuna's pages within our site: the way to them and back, and no button that is refused."""

import re
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from importlib.resources import files

import optuna
import optuna_dashboard
import pytest
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna_dashboard._preferential_history import NewHistory, report_history
from optuna_dashboard.preferential import create_study
from playwright.sync_api import Browser, Request, expect

from support.browsers import chromium, needs_chromium, tab
from support.dashboard_server import running
from support.pages import confirmed, get, searched
from sweeper.dashboard import Application
from sweeper.dashboard.server.optuna_page import TRIED
from sweeper.store import Store

PAGES = (
    "",
    "/compare-studies",
    "/studies/{toy}",
    "/studies/{toy}/analytics",
    "/studies/{toy}/trials",
    "/studies/{toy}/trials?numbers=0",
    "/studies/{toy}/trialTable",
    "/studies/{toy}/smartSelection",
    "/studies/{toy}/note",
    "/studies/{asked}/trials?numbers=1",
    "/studies/{preferred}",
    "/studies/{preferred}/preference-history",
)


# The server silences it, but the filters of a test are not those in which its server was started.
pytestmark = pytest.mark.filterwarnings("ignore:Target and region quantiles")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A confirmed sweep beside three studies of somebody else, with all that can be changed."""
    folder = tmp_path_factory.mktemp("optuna-page")
    store = Store(f"sqlite:///{folder}/sweeps.db")
    confirmed(store, searched(store))
    (folder / "files").mkdir()
    (folder / "notes.txt").write_text("notes")
    artifacts = FileSystemArtifactStore(folder / "files")

    def attach(place: optuna.Study | optuna.Trial) -> None:
        upload_artifact(
            artifact_store=artifacts,
            file_path=str(folder / "notes.txt"),
            study_or_trial=place,
        )

    def measure(trial: optuna.Trial) -> tuple[float, float]:
        attach(trial)
        return trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)

    toy = optuna.create_study(
        storage=store.url, study_name="toy", directions=["minimize", "minimize"]
    )
    toy.optimize(measure, n_trials=3)
    attach(toy)
    optuna_dashboard.save_note(toy, "# A note")
    asked = optuna.create_study(storage=store.url, study_name="asked")
    widget = optuna_dashboard.ChoiceWidget(choices=["good", "bad"], values=[0, 1])
    optuna_dashboard.register_objective_form_widgets(asked, widgets=[widget])
    asked.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    attach(asked.ask())
    preferred = create_study(
        n_generate=3,
        storage=store.url,
        study_name="preferred",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    for _ in range(3):
        trial = preferred.ask()
        trial.suggest_float("x", 0, 1)  # of trials without any its page divides by zero
        attach(trial)
    number = optuna.load_study(study_name="preferred", storage=store.url)._study_id
    report_history(number, toy._storage, NewHistory("ChooseWorst", [0, 1, 2], 0))
    yield store
    store.close()


@pytest.fixture(scope="module")
def ids(store: Store) -> dict[str, int]:
    studies = optuna.study.get_all_study_names(store.url)
    return {
        name: optuna.load_study(study_name=name, storage=store.url)._study_id for name in studies
    }


@pytest.fixture(scope="module")
def shown(store: Store) -> Iterator[str]:
    artifacts = store.url.removeprefix("sqlite:///").replace("sweeps.db", "files")
    with pytest.MonkeyPatch.context() as patch, running(store, patch, artifacts=artifacts) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("path", ["/", ""])
def test_the_site_begins_with_the_sweeps(store: Store, path: str) -> None:
    with closing(Application(store)) as app:
        first = get(app, path)
        assert (first.status, first.headers["Location"]) == (302, "/sweeps/")
        assert get(app, "/sweeps/").status == 200


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/", "/dashboard/studies/1/note"])
def test_every_address_of_optunas_pages_has_our_parts(store: Store, path: str) -> None:
    for read_only in (True, False):
        with closing(Application(store, read_only=read_only)) as app:
            page = get(app, path)
            assert page.status == 200
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            text = page.body.decode()
            assert '<script defer src="/static/bundle.js"></script>' in text
            assert ("/sweeps/_assets/read_only.css" in text) == read_only
            for part in re.findall(r'"(/sweeps/_assets/[^"]+)"', text):
                assert get(app, part).status == 200, part
            assert get(app, path, "HEAD").body == b""


def test_of_which_sweep_a_study_is(store: Store, ids: dict[str, int]) -> None:
    with closing(Application(store)) as app:
        for name in ("tiny", "tiny/l1/1", "tiny/confirmed", "tiny/l1/confirmed"):
            assert get(app, f"/sweeps/_study/{ids[name]}.json").json() == {
                "study": name, "sweep": "tiny", "page": "/sweeps/tiny/",
            }  # fmt: skip
        assert get(app, f"/sweeps/_study/{ids['toy']}.json").json() == {
            "study": "toy", "sweep": None, "page": None,
        }  # fmt: skip
        assert get(app, "/sweeps/_study/99999.json").json()["study"] is None
        assert get(app, "/sweeps/tiny/status.json").json()["optuna"] == (
            f"/dashboard/studies/{ids['tiny']}"
        )


def test_the_styles_are_for_the_version_that_is_installed() -> None:
    installed = version("optuna-dashboard")
    assert installed == TRIED, (
        f"optuna-dashboard is {installed} here, and read_only.css was tried with {TRIED}: see that "
        "this file's tests pass, look at its pages, then write the version into optuna_page.py"
    )


def test_every_name_in_the_styles_is_one_of_optunas_pages() -> None:
    assets = files("sweeper.dashboard.sweeps").joinpath("assets")
    script = files("optuna_dashboard").joinpath("public/bundle.js").read_text(encoding="utf-8")
    for style in ("read_only.css", "optuna_page.css"):
        text = assets.joinpath(style).read_text(encoding="utf-8")
        for label in re.findall(r'\[aria-label="([^"]+)"\]', text):
            assert f'"aria-label":"{label}"' in script, label
        for icon in re.findall(r'data-testid="(\w+)Icon"', text):
            assert f'"{icon}")' in script, icon


@needs_chromium
def test_links_lead_from_a_study_to_its_sweep_and_back(
    browser: Browser, shown: str, ids: dict[str, int]
) -> None:
    with tab(browser, shown) as page:
        page.goto(shown)
        page.get_by_role("link", name="tiny", exact=True).click()
        page.locator("#levels table").wait_for()
        page.get_by_role("link", name="Optuna dashboard").click()
        page.wait_for_url(f"**/dashboard/studies/{ids['tiny']}")
        bar = page.get_by_role("navigation", name="sweeps")
        bar.get_by_role("link", name="tiny").wait_for()
        # It goes on to a study of nobody's sweep without loading a page.
        page.locator("a[href='/dashboard/']").first.click()
        page.locator(f"a[href='/dashboard/studies/{ids['toy']}']").first.click()
        page.get_by_text("toy (id=").first.wait_for()
        expect(bar.get_by_role("link")).to_have_count(1)
        page.go_back()
        page.go_back()
        bar.get_by_role("link", name="tiny").click()
        page.wait_for_url("**/sweeps/tiny/")
        page.go_back()
        bar.get_by_role("link", name="Sweeps").click()
        page.wait_for_url("**/sweeps/")


CONTROLS = """(everywhere) => {
  const seen = new Map();
  const kinds = 'button, [role=button], [role=tab], [role=menuitem], input[type=checkbox]';
  const others = '.modebar, [aria-disabled=true]' + (everywhere ? '' : ', .MuiDrawer-root, header');
  for (const element of document.querySelectorAll(kinds)) {
    const box = element.getBoundingClientRect();
    const away = !box.width || !box.height || getComputedStyle(element).visibility === 'hidden';
    if (away || element.disabled || element.closest(others)) continue;
    const icons = [...element.querySelectorAll('[data-testid]')].map((icon) => icon.dataset.testid);
    const said = (element.innerText || '').replaceAll(/\\d+/g, '0').trim();
    const name = [element.getAttribute('aria-label'), said, element.type, ...icons].join('|');
    if (!seen.has(name)) seen.set(name, element);
  }
  return window.controls = seen, [...seen.keys()];
}"""
PRESS = "(name) => window.controls.get(name)?.click()"
FILL = """() => {
  for (const field of document.querySelectorAll('input[type=text], textarea')) {
    const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set;
    set.call(field, 'another');
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }
}"""
LEAVES = re.compile(r"\|(no|cancel|close|discard)\|", re.IGNORECASE)


@needs_chromium
@pytest.mark.parametrize("path", PAGES)
def test_no_button_that_is_seen_is_refused(
    browser: Browser, shown: str, ids: dict[str, int], path: str
) -> None:
    address = f"{shown}dashboard{path.format(**ids)}"
    changes: list[str] = []
    pressed: list[str] = []
    with tab(browser, shown) as page:

        def asked(request: Request) -> None:
            if request.method != "GET":
                changes.append(" > ".join(pressed))

        page.on("request", asked)
        page.on("filechooser", lambda _: changes.append(" > ".join(pressed)))

        def after(*names: str) -> list[str]:
            """Open the page, press one after another, and return what may be pressed then."""
            pressed.clear()
            page.goto(address)
            page.locator("#dashboard [data-testid=SettingsIcon]").first.wait_for()
            page.wait_for_load_state("networkidle")
            for name in names:
                pressed.append(name)
                page.evaluate(CONTROLS, not path)
                page.evaluate(PRESS, name)
                page.wait_for_timeout(300)
                page.evaluate(FILL)
                page.wait_for_timeout(50)
            return list(page.evaluate(CONTROLS, not path))

        before = after()
        for name in before:
            for following in after(name):
                if following not in before and not LEAVES.search(following):
                    after(name, following)
    assert changes == []
