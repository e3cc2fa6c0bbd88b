"""What is done for a sweep by whoever is alive: registering, mending, publishing, deleting."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from sweeper import brackets
from sweeper.confirming import Confirmed, confirmed, within
from sweeper.fronts import Front, fronts
from sweeper.results import FoundBracket, Slot, SweepStatus
from sweeper.search import Search
from sweeper.spec import SUFFIX, Sweep
from sweeper.store import Dump, Store

FIGURE = "sweeper-fronts"
"""Id of the figure in the study of the sweep."""
LEAVING_SECONDS = 15.0
"""How long `delete` waits for workers that were told to stop."""


def register(
    store: Store, sweep: Sweep, *, extend: bool = False
) -> Literal["new", "resumed", "extended"]:
    """Bring schema, sweep and studies into the storage; again after a crash in between."""
    store.upgrade()
    # The sweep first: it is what refuses another study file, before any study is touched.
    outcome = store.register(sweep, extend=extend)
    with searching(store, sweep) as search:
        search.create()
    return outcome


def restore(
    store: Store, dump: Dump, on_study: Callable[[str], None] = lambda study: None
) -> tuple[int, int]:
    """Bring a dumped sweep into the storage; again after a crash, it goes on where that was.

    Returns how many facts are new here, and how many there are. Raises DigestError if another
    sweep has its name, InputError if a slot has another result here.
    """
    store.upgrade()
    new = store.load(dump)
    sweep = dump.sweep
    found = brackets.ranges(store.brackets(sweep.name))
    facts = store.results(sweep.name)
    with searching(store, sweep.with_brackets(found)) as search:
        search.create()
        for study in sweep.studies():
            on_study(study)
            search.recreate(study, [fact for fact in facts if fact.study == study])
    store.opened(dump)
    return new, len(facts)


@contextmanager
def searching(store: Store, sweep: Sweep) -> Iterator[Search]:
    """Search a sweep in a `with` block; connections are closed at its end."""
    search = Search(store.url, sweep, engine_options=store.engine_options, patience=store.patience)
    try:
        yield search
    finally:
        search.close()


def mend(store: Store, name: str, search: Search | None = None) -> int:
    """Free the slots of dead workers, tell what they recorded, fail what they left running.

    Returns how many slots were freed. Never touches what a living worker holds.
    """
    sweep = store.sweep(name)
    if search is None:
        with searching(store, sweep) as own:
            return mend(store, name, own)
    freed = store.reap(name)
    untold = store.untold(name)
    for fact in untold:
        search.tell(fact.study, fact.trial, fact.result)
    if untold:
        store.told(
            [Slot(fact.sweep, fact.arm, fact.repeat, fact.slot, fact.study) for fact in untold]
        )
    for study, (arm, repeats) in sweep.studies().items():
        # The order matters. A trial is created before its slot is linked to it: once it was seen
        # running, its slot is linked, or still unlinked (None), or it was given up. A whole pack
        # is linked at once: while its slots wait for that, none of their study is mended.
        if running := search.running(study):
            used = store.trials_in_use(name, arm, repeats)
            for trial in set(running) - used if used is not None else ():
                search.fail(study, trial)
    return freed


def publish(
    store: Store,
    name: str,
    *,
    every: float = 10.0,
    force: bool = False,
    search: Search | None = None,
) -> bool:
    """Renew the figure and the note in the study of the sweep; at most one caller per `every`."""
    sweep = store.sweep(name)
    if search is None:
        with searching(store, sweep) as own:
            return publish(store, name, every=every, force=force, search=own)
    if not store.take_turn(name, "publish", 0.0 if force else every):
        return False
    from sweeper.plots import confirmed_view, draw, overlay

    facts, status = store.results(name), store.status(name)
    if sweep.confirms:
        again = confirmed(sweep, facts, store.results(sweep.confirms.of))
        figure, text = draw(confirmed_view(again, sweep), small=True), confirmed_note(sweep, again)
    else:
        found = fronts(facts, sweep)
        figure = overlay(found, sweep, small=True)
        text = note(sweep, status, found, store.brackets(name))
    search.publish({FIGURE: figure.to_json()}, text)
    return True


def note(
    sweep: Sweep,
    status: SweepStatus,
    found: Mapping[str, Front],
    ranges: Sequence[FoundBracket] = (),
) -> str:
    """Return the table of the arms in Markdown: budget, best accuracy, size at the targets.

    `ranges` are those of the strengths that were found.
    """
    by = next(iter(found.values())).by.replace("_", " ")
    targets = sweep.targets.accuracy
    head = ["arm", "trials", "diverged", "collapsed", f"best {by}"]
    rows = [[*head, *(f"nonzero at {100 * target:g} %" for target in targets)]]
    rows.append(["---", *["---:"] * (len(rows[0]) - 1)])
    for arm in status.arms:
        if arm.arm not in found:
            continue  # added by `--extend` after the fronts were read
        front = found[arm.arm]
        best = f"{front.points[-1].accuracy(front.by):.2%}" if front.points else "–"
        at = [front.at(accuracy=target) for target in targets]
        rows.append(
            [
                arm.arm,
                f"{arm.done} / {arm.budget}",
                str(arm.diverged),
                str(arm.collapsed),
                best,
                *(f"{point.nonzero:,}" if point else "not reached" for point in at),
            ]
        )
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    track = "after pruning" if sweep.sparsification.track == "pruned" else "as trained"
    size = f" of {sweep.parameters:,}" if sweep.parameters else ""
    known = sweep.with_brackets(brackets.ranges(ranges))
    ends = {arm: [point.params for point in front.points] for arm, front in found.items()}
    edges = brackets.in_short(brackets.edges(known, ends))
    return (
        f"## {sweep.name}\n\n{status.done} of {status.budget} trials are done.\n\n{table}\n\n"
        f"Nonzero parameters{size}, biases included, {track}: the smallest network of at least "
        f"that {by}, over all repeats. Networks were selected on {by}.\n"
        + (f"\n{edges}\n" if edges else "")
    )


def confirmed_note(sweep: Sweep, found: Sequence[Confirmed]) -> str:
    """Return test accuracies of confirmed networks at each size, in Markdown."""
    sizes = sweep.confirms.sizes if sweep.confirms else ()
    rows = [["arm", *(f"within {size:,}" for size in sizes)]]
    rows.append(["---", *["---:"] * len(sizes)])
    for arm in sweep.arms:
        mine = [one for one in found if one.arm == arm]
        cells = [within(mine, size, "test_accuracy") for size in sizes]
        rows.append([arm, *(f"{cell.center:.2%}" if cell else "–" for cell in cells)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    seeds = sweep.confirms.seeds if sweep.confirms else 0
    return (
        f"## {sweep.name}\n\n{table}\n\nTest accuracy of networks trained again with {seeds} "
        "fresh seeds each, mean over repeats. Chosen by the search on validation accuracy, the "
        "best within each number of nonzero parameters; nothing was chosen on test.\n"
    )


def delete(store: Store, name: str) -> None:
    """Delete a sweep: its studies first, so that a crash in between can be mended by deleting.

    Its confirmation goes before it, which says nothing without it.
    """
    sweep = store.sweep(name)
    if name + SUFFIX in store.names():
        delete(store, name + SUFFIX)
    store.stop(name)
    until = time.monotonic() + LEAVING_SECONDS
    while any(worker.alive for worker in store.status(name).workers) and time.monotonic() < until:
        time.sleep(0.2)
        store.reap(name)
    with searching(store, sweep) as search:
        search.delete()
    store.delete(name)
