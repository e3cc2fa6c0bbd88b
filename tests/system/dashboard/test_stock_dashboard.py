"""The stock `optuna-dashboard`, given a database alone: a sweep's own study fills its pages."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from support.browsers import chromium, needs_chromium, tab
from support.fakes import fake_train, small_sweep
from support.processes import wait_for
from support.worker_processes import assert_pooled
from sweeper import lifecycle
from sweeper.store import Store
from sweeper.worker.worker_loop import work

POINTS = """id => (document.getElementById(id)?.data ?? [])
    .reduce((sum, trace) => sum + (trace.x ?? trace.dimensions?.[0]?.values ?? []).length, 0)"""
SERVE = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
import optuna_dashboard

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments): pass

with make_server("127.0.0.1", 0, optuna_dashboard.wsgi(sys.argv[1]), handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


@contextmanager
def stock_dashboard(url: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def points(page: Page, plot: str) -> int:
    return int(page.evaluate(POINTS, plot))


@needs_chromium
def test_its_first_screens_show_all_networks_of_a_sweep(sqlite_store: Store) -> None:
    sweep = small_sweep(search={"trials": 12})
    lifecycle.register(sqlite_store, sweep)
    work("tiny", sqlite_store, pack=8, train=fake_train)
    assert_pooled(sqlite_store, sweep)
    complete = sum(record.result.state == "complete" for record in sqlite_store.records("tiny"))
    assert 0 < complete < 36
    with lifecycle.open_studies(sqlite_store, sweep) as search:
        study = search.ids(["tiny"])["tiny"]
    with stock_dashboard(sqlite_store.url) as url, chromium() as browser, tab(browser, url) as page:
        page.goto(f"{url}/dashboard/studies/{study}")
        expect(page.get_by_text("Best Trial").first).to_be_visible()
        expect(page.get_by_text("Pareto Front")).to_be_visible()
        for plot in ("graph-pareto-front", "plot-history", "graph-timeline"):
            wait_for(lambda plot=plot: points(page, plot) >= complete)  # type: ignore[misc]
        # Of the parameters that matter the arm is one.
        importances = page.locator("#graph-hyperparameter-importances .ytick")
        expect(importances.get_by_text("arm", exact=True)).to_be_visible()
        page.goto(f"{url}/dashboard/studies/{study}/smartSelection")
        expect(page.get_by_text("Parallel Coordinate").first).to_be_visible()
        wait_for(lambda: points(page, "plot-parallel-coordinate") >= complete)
        expect(page.get_by_text("Param l1.strength").first).to_be_visible()
        for word in ("dense", "l1", "mix"):
            expect(page.get_by_role("cell", name=word, exact=True).first).to_be_visible()
        assert page.get_by_role("cell", name="Pruned").count() == 0
        assert page.get_by_role("cell", name="Fail").count() == 36 - complete
