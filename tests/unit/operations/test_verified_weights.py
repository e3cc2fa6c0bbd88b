"""Verified weights: what differs from the record, and what records of earlier programs meant."""

from dataclasses import replace

import pytest

from support.factories import make_fact
from sweeper.operations.verify import VerifiedWeights


@pytest.mark.parametrize(
    ("recorded", "evaluated", "is_chain", "differs"),
    [
        (3990, 3990, False, False),
        (3990, 3000, False, True),
        (3990, None, False, True),
        (None, None, False, False),
        # All nonzeros: what networks other than chains were once said to have.
        (4000, 3000, False, False),
        (4000, None, False, False),
        (4000, 3000, True, True),
    ],
)
def test_effective_parameters_differ_but_where_they_were_once_all_nonzeros(
    recorded: int | None, evaluated: int | None, is_chain: bool, differs: bool
) -> None:
    record = make_fact(nonzero=4000)
    network = record.result.pruned
    assert network is not None
    verified = VerifiedWeights(
        record,
        replace(network, effective=recorded),
        replace(network, effective=evaluated),
        stored=True,
        is_chain=is_chain,
    )
    line = f"effective: recorded {recorded}, found {evaluated}"
    assert verified.differences == ((line,) if differs else ())
