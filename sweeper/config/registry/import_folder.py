"""Import folder: modules of the current folder, for study files and for one another.

That folder is on no path of imports. Libraries look for optional modules (redis, org, psycopg_c),
and would run whatever file of that name lies there.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_IMPORTING = ("importlib", "importlib._bootstrap", "importlib.util", "_frozen_importlib")
"""Modules whose frames lie between an import and its finders."""


class FolderFinder(MetaPathFinder):
    """Finds a module of the folder for a study file that names it, and for modules from there.

    It is asked last, so that nothing there takes the place of the standard library's or of an
    installed package. Modules import when they like, as in the middle of a function: who asks is
    seen by the stack.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        """None: none yet, or it has been deleted."""
        self._named: ContextVar[str] = ContextVar("named", default="")
        self._modules: set[str] = set()
        """Names, without a dot, of the modules that came from here."""

    def begin(self) -> None:
        """Take the current folder, for all that this process does later on."""
        try:
            self.folder = Path.cwd()
        except OSError:
            self.folder = None
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    @contextmanager
    def named(self, module: str) -> Iterator[None]:
        """Let a module of the folder be imported by name in a `with` block."""
        if self not in sys.meta_path:
            self.begin()
        token = self._named.set(module.partition(".")[0])
        try:
            yield
        finally:
            self._named.reset(token)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            return None  # a part of a package is found by its package
        if fullname != self._named.get() and not self._asked_from_here():
            return None
        spec = self._look(fullname)
        if spec is not None:
            self._modules.add(fullname)
        return spec

    def shadowed(self, module: str) -> str:
        """Return the file in the folder that another module of its name is used instead of."""
        name = module.partition(".")[0]
        here, used = self._look(name), sys.modules.get(name)
        if here is None or here.origin is None or used is None:
            return ""
        origin = getattr(used.__spec__, "origin", None)
        if origin and Path(origin).exists() and Path(origin).samefile(here.origin):
            return ""
        whose = "the standard library" if name in sys.stdlib_module_names else "another package"
        return f"{here.origin} is not used, for {whose} has a module {name}: rename it"

    def _look(self, name: str) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(self.folder)]) if self.folder else None

    def _asked_from_here(self) -> bool:
        """Tell whether the import stands in a module of this folder."""
        frame = sys._getframe(2)
        while frame.f_back and frame.f_globals.get("__name__") in _IMPORTING:
            frame = frame.f_back
        return str(frame.f_globals.get("__name__")).partition(".")[0] in self._modules


FOLDER = FolderFinder()
