"""Downloads through the dashboard: files of others are given out, and nothing of them runs."""

import base64
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import RDBStorage
from optuna_dashboard import save_note
from playwright.sync_api import Error

from support.browsers import chromium, needs_chromium
from support.dashboard_server import running
from support.http_client import Reply, ask
from sweeper.dashboard import Application
from sweeper.dashboard.server.downloads import PLAIN
from sweeper.search import optuna_tables
from sweeper.store import Store

RUN = "window.ran = 1; document.title = 'ran'; fetch('/api/studies?ran')"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{RUN}</script></svg>'
SCRIPT = "11111111-2222-3333-4444-555555555555"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)
HARMFUL = {
    "text/html": f'<script src="{SCRIPT}"></script><script>{RUN}</script>'.encode(),
    "text/javascript": RUN.encode(),
    "image/svg+xml": SVG.encode(),
    "application/xhtml+xml": SVG.encode(),
    "text/xml": SVG.encode(),
    "text/css": b"body { display: none }",
    "application/pdf": b"%PDF-1.4",
    "text/html; charset=utf-16": b"<script>",
    "TEXT/HTML": b"<script>",
    "multipart/x-mixed-replace": b"<script>",
    "": b"<script>",
}


class Place:
    """A study with artifacts of any type, as whoever writes to its storage may leave them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.storage = RDBStorage(store.url)
        self.files = FileSystemArtifactStore(folder)
        self.study = self.storage.get_study_id_from_name("toy")
        self.trial = self.storage.get_all_trials(self.study)[0]._trial_id

    def put(self, kind: Any, content: bytes, *, trial: bool = True, id_: str = "") -> str:
        """Store an artifact and return its path."""
        id_ = id_ or str(uuid.uuid4())
        self.files.write(id_, io.BytesIO(content))
        meta = {"artifact_id": id_, "filename": "x", "mimetype": kind, "encoding": "gzip"}
        return self.named(id_, json.dumps(meta), trial=trial)

    def named(self, id_: str, meta: str, *, trial: bool = True) -> str:
        """Record an artifact without storing anything, and return its path."""
        key = f"artifacts:{id_}"
        # Optuna's own call refuses finished trials, another program does not.
        if trial:
            optuna_tables.attach(self.storage, self.trial, key, meta)
            return f"/artifacts/{self.study}/{self.trial}/{id_}"
        self.storage.set_study_system_attr(self.study, key, meta)
        return f"/artifacts/{self.study}/{id_}"


@pytest.fixture
def place(filled_store: Store, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "files").mkdir()
    place = Place(filled_store, tmp_path / "files")
    yield place
    place.storage.remove_session()
    place.storage.engine.dispose()


def assert_inert(answer: Reply, kind: str = "application/octet-stream") -> None:
    headers = answer.headers
    assert headers["Content-Type"].partition(";")[0] == kind
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == "attachment"
    assert "sandbox" in headers["Content-Security-Policy"].split("; ")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
    assert "Content-Encodings" not in headers


@pytest.mark.parametrize("trial", [True, False], ids=["trial", "study"])
def test_whatever_type_is_stored_an_artifact_is_a_download_that_runs_nothing(
    filled_store: Store, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: bool
) -> None:
    made = {kind: place.put(kind, content, trial=trial) for kind, content in HARMFUL.items()}
    plain = {kind: place.put(kind.upper(), b"content", trial=trial) for kind in PLAIN}
    with running(filled_store, monkeypatch, artifacts=str(tmp_path / "files")) as url:
        for kind, path in made.items():
            # Bottle's router takes several slashes, and bytes that are no text, for the same path.
            for asked in (path, f"/{path}", path.replace("/art", "/%FFart")):
                answer = ask(url, "GET", asked)
                assert answer.status == 200
                assert_inert(answer)
                assert answer.text == HARMFUL[kind].decode()
            assert_inert(ask(url, "HEAD", path))
        for kind, path in plain.items():
            assert_inert(ask(url, "GET", path), kind)


def test_what_is_uploaded_in_the_dashboard_is_a_download_too(
    filled_store: Store, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(
        {"file": f"data:text/html;base64,{base64.b64encode(b'<script>').decode()}"}
        | {"filename": "page.html"}
    )
    json_type = {"Content-Type": "application/json"}
    with running(
        filled_store, monkeypatch, artifacts=str(tmp_path / "files"), allow_edit=True
    ) as url:
        told = ask(url, "POST", f"/api/artifacts/{place.study}", json_type, body)
        assert told.status == 201
        assert json.loads(told.text)["artifacts"][0]["mimetype"] == "text/html"
        id_ = json.loads(told.text)["artifact_id"]
        answer = ask(url, "GET", f"/artifacts/{place.study}/{id_}")
        assert answer.text == "<script>"
        assert_inert(answer)


@pytest.mark.parametrize(
    "meta", ["null", "[]", "5", "{", "{}", '{"mimetype": null}', '{"mimetype": "a\\r\\nX: 1"}']
)
def test_a_record_of_an_artifact_that_makes_no_sense_is_none(
    filled_store: Store, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meta: str
) -> None:
    path = place.named("0-a", meta)
    with running(filled_store, monkeypatch, artifacts=str(tmp_path / "files")) as url:
        for asked in (path, "/artifacts/1/999/0-a", "/artifacts/999/0-a", "/artifacts/1/0-b"):
            answer = ask(url, "GET", asked)
            assert answer.status == 404
            assert answer.headers["Content-Type"] == "text/plain"
            assert "X" not in answer.headers


def test_no_other_route_of_optunas_dashboard_gives_out_what_is_stored(filled_store: Store) -> None:
    with closing(Application(filled_store)) as made:
        rules = {route.rule for route in made.optuna_app.routes}
    answers_json = {rule for rule in rules if rule.startswith("/api/")}
    # Its own files, and the table of a study, which is CSV and a download.
    assert rules - answers_json == {
        "/",
        "/artifacts/<study_id:int>/<artifact_id:re:[0-9a-fA-F-]+>",
        "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>",
        "/csv/<study_id:int>",
        "/dashboard<:re:(/.*)?>",
        "/favicon.ico",
        "/incompatible-rdb-schema",
        "/static/<filename:path>",
    }


LOADED = """async (path) => {
  const script = document.createElement('script'), worker = new Promise((done) => {
    try { const made = new Worker(path); made.onerror = () => done('refused'); }
    catch (error) { done('refused'); } });
  const asScript = new Promise((done) => {
    script.onload = () => done('loaded'); script.onerror = () => done('refused'); });
  script.src = path; document.body.append(script);
  return [await asScript, await worker, window.ran ?? 0];
}"""
SEEN = """(path) => new Promise((done) => { const image = new Image();
  image.onload = () => done(image.naturalWidth); image.onerror = () => done(0);
  image.src = path; })"""


@needs_chromium
def test_in_a_browser_no_stored_file_note_figure_or_attribute_runs_a_script(
    filled_store: Store, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [place.put("text/javascript", HARMFUL["text/javascript"], id_=SCRIPT)]
    paths += [place.put(kind, content) for kind, content in HARMFUL.items()]
    picture = place.put("image/png", PNG)
    link = f"javascript:{RUN}"
    study = optuna.load_study(storage=place.storage, study_name="toy")
    markup = f"""<img src="x" onerror="{RUN}"><iframe srcdoc="<script>{RUN}</script>"></iframe>
<svg onload="{RUN}"></svg><a href="{link}">press</a>"""
    save_note(study, f"Read it. [press]({link})\n\n{markup}\n\n<script>{RUN}</script>\n")
    study.set_user_attr("link", link)
    study.set_user_attr("markup", markup)
    figure = {
        "data": [{"type": "scatter", "x": [1], "y": [1], "name": markup}],
        "layout": {
            "title": {"text": f'drawn <a href="{link}">press</a>{markup}'},
            "images": [{"source": f"data:image/svg+xml,{SVG}", "x": 0, "y": 1}],
        },
    }
    key = "dashboard:plot_data:hostile:0"
    place.storage.set_study_system_attr(place.study, key, json.dumps(figure))
    with (
        running(filled_store, monkeypatch, artifacts=str(tmp_path / "files")) as url,
        chromium() as browser,
    ):
        context = browser.new_context()
        tab = context.new_page()
        tab.set_default_timeout(240_000)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        for path in paths:  # opened as pages
            with pytest.raises(Error, match="Download is starting"):
                tab.goto(url.rstrip("/") + path)
        tab.goto(f"{url}dashboard/studies/{place.study}/note")
        tab.get_by_text("Read it.").first.wait_for()
        for press in tab.get_by_text("press").all():
            press.click()
        for path in paths:  # as what markup in a page, if any got there, would ask for
            assert tab.evaluate(LOADED, path) == ["refused", "refused", 0]
        assert tab.evaluate(SEEN, picture) == 1
        tab.goto(f"{url}dashboard/studies/{place.study}")
        plot = tab.locator("[id='user-defined-plot:hostile']")
        plot.locator(".main-svg").first.wait_for()
        for press in plot.get_by_text("press").all():
            press.dispatch_event("click")
        tab.goto(f"{url}dashboard/studies/{place.study}/trials?numbers=0")
        tab.get_by_text("Artifacts").first.wait_for()
        assert tab.evaluate("window.ran ?? 0") == 0
        assert "ran" not in {page.title() for page in context.pages}
        assert not [one for one in asked if one.endswith("?ran")]
