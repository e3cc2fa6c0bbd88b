"""Refusals of data: the one line that says what is wrong."""

from collections.abc import Callable

import pytest

from sweeper.errors import DataError


def refusal(use: Callable[[], object]) -> str:
    """Return the one line with which data are refused."""
    with pytest.raises(DataError) as caught:
        use()
    text = str(caught.value)
    assert "\n" not in text
    return text
