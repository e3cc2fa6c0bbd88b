"""The command `schema`: the JSON Schema of study files."""

import typer


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of study files, for editors that complete and check while typing."""
    import json

    from sweeper.config.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
