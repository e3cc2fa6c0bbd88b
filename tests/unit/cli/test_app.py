"""Command application: where a command stands."""

from sweeper.cli.app import app


def test_a_command_stands_in_the_file_of_its_name() -> None:
    modules = {}
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        modules[name] = command.callback.__module__
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            modules[str(group.name)] = command.callback.__module__
    assert len(modules) >= 25
    assert modules == {name: f"sweeper.cli.{name}_command" for name in modules}
