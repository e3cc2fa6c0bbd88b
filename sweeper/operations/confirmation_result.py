"""What a report needs of a confirmation, from the storage and from where networks are kept."""

from collections.abc import Sequence
from dataclasses import replace

from sweeper import lifecycle
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.config import SUFFIX
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.types import TrialRecord


def confirmation_result(
    store: Store,
    name: str,
    searched: Sequence[TrialRecord],
    artifacts: str | None = None,
    *,
    may_come: bool = False,
) -> ConfirmationResult | None:
    """Return the confirmation of a sweep as a report needs it, if there is one.

    With some of its networks, if they are kept at `artifacts`; a folder that `may_come` later need
    not be there.
    """
    if (registered := name + SUFFIX) not in store.names():
        return None
    sweep, facts = store.sweep(registered), store.records(registered)
    again = ConfirmationResult.of(
        store.sweep(name), searched, store.reproducibility_checks(name), sweep, facts
    )
    if artifacts is None:
        return again
    with lifecycle.open_studies(store, sweep) as search:
        search.use_artifact_store(artifacts, may_come=may_come)
        kept = {
            arm: search.load_artifact(fact.slot.study, fact.trial, NETWORK)
            for arm, fact in again.pictured().items()
        }
    networks = {arm: one.content for arm, one in kept.items() if one and one.content is not None}
    return replace(again, networks=networks)
