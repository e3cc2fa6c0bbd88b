"""A CUDA graph's stand-in on the CPU."""

from collections.abc import Callable


class Again:
    """Stands for a CUDA graph: keeps a program and runs it again, on the CPU."""

    def __init__(self) -> None:
        self.kept: Callable[[], None] | None = None
        self.replays = 0

    def warm_up(self, program: Callable[[], None]) -> None:
        program()

    def capture(self, program: Callable[[], None]) -> None:
        assert self.kept is None
        self.kept = program

    def replay(self) -> None:
        assert self.kept is not None
        self.replays += 1
        self.kept()
