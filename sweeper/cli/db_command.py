"""The commands `db upgrade` and `db check`: the tables of a storage."""

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Storage, open_store
from sweeper.settings import DEFAULT_STORAGE

db = typer.Typer(help="Create, renew or check the tables.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(db, name="db")


@db.command()
def upgrade(storage: Storage = DEFAULT_STORAGE) -> None:
    """Create the tables, or bring those of an older version up to date."""
    from sweeper.store import Store

    store = Store(storage)
    try:
        with activity(f"{store.safe_url}: the tables are brought up to date"):
            store.upgrade()
        typer.echo(f"{store.safe_url}: up to date")
    finally:
        store.close()


@db.command()
def check(storage: Storage = DEFAULT_STORAGE) -> None:
    """Say whether the database answers and its tables fit this version."""
    with open_store(storage) as store:
        typer.echo(f"{store.safe_url}: in order")
