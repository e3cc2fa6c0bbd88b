"""Marks for tests whose subject is no SQL: one kind of database is enough."""

import pytest

on_sqlite = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
"""On a SQLite file alone: the store's own tests say that databases do the same."""
