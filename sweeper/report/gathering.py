"""What a report needs of a confirmation, from the storage and from where networks are kept."""

from collections.abc import Sequence
from dataclasses import replace

from sweeper import service
from sweeper.confirming import confirmed
from sweeper.report.confirmations import Confirmation
from sweeper.results import Fact
from sweeper.search.artifacts import NETWORK
from sweeper.spec import SUFFIX
from sweeper.store import Store


def confirmation_of(
    store: Store, name: str, searched: Sequence[Fact], artifacts: str | None = None
) -> Confirmation | None:
    """Return the confirmation of a sweep as a report needs it, if there is one.

    With some of its networks, if they are kept at `artifacts`.
    """
    if (registered := name + SUFFIX) not in store.names():
        return None
    sweep, status = store.sweep(registered), store.status(registered)
    facts = store.results(registered)
    found = tuple(confirmed(sweep, facts, searched))
    again = Confirmation(sweep, facts, status.done, status.budget, found)
    if artifacts is None:
        return again
    with service.searching(store, sweep) as search:
        search.keep_at(artifacts)
        kept = {
            arm: search.kept(fact.study, fact.trial, NETWORK)
            for arm, fact in again.pictured().items()
        }
    networks = {arm: one.content for arm, one in kept.items() if one and one.content is not None}
    return replace(again, networks=networks)
