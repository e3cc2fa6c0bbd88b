"""Compilation of functions over whole stacks of weights, by numba, for a CPU."""

import hashlib
import inspect
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numpy.typing import NDArray
from torch import Tensor

from sweeper.kernels.jit_cache import ENDING, LoopCache

Array = NDArray[np.float32]
_LIBERTIES = {"reassoc", "contract"}
_CACHE = LoopCache()
_RESULT: Any = CompileResult
_NJIT: Any = numba.njit
"""Its option `_nrt`, whether references to arrays are counted, is untyped."""
_dumps: Callable[[Any], bytes] = dumps
F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F, *, allocates: bool = True) -> F:
    """Compile, and keep what was compiled for the next process where a folder can be written.

    Sums may be taken in another order, as a vector at a time, and a product may be rounded
    together with the sum that it is part of; NaN and infinity keep their meaning. What comes out
    is the same for the same processor. A function that makes no arrays, `allocates` False, counts
    no references to those that it is given.
    """
    compiler = _NJIT(fastmath=_LIBERTIES, error_model="numpy", _nrt=allocates)
    dispatcher: Any = compiler(function)
    # numba's own cache raises at the first call what it finds amiss with its files, unpickles what
    # others may have written, looks at no file of what is called, and two processes that write at
    # once may leave one signature's code under another.
    dispatcher._cache = _OverloadCache(cast(FunctionType, function))
    return cast(F, dispatcher)


class _OverloadCache:
    """The cache that numba asks for what a dispatcher compiled: see `numba.core.caching._Cache`."""

    cache_path = None

    def __init__(self, function: FunctionType) -> None:
        self._function = function

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was kept; None has numba compile it and call `save_overload`."""
        context.refresh()
        try:
            name = self._name(signature, context.codegen())
            content = _CACHE.read(name)
            if content is None:
                _CACHE.begin()
                content = _CACHE.read(name)  # of the process that was waited for
                if content is None:
                    return None
                _CACHE.end()
            # It is this user's, and as it was written.
            return _RESULT._rebuild(context, *pickle.loads(content))  # noqa: S301
        except Exception as error:
            _CACHE.warn(f"compiled again: {type(error).__name__}: {error}")
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        try:
            if not result.library.has_dynamic_globals:  # else it holds addresses of this process
                _CACHE.write(self._name(signature, result.codegen), _dumps(result._reduce()))
        except Exception as error:
            _CACHE.warn(f"not kept: {type(error).__name__}: {error}")
        finally:
            _CACHE.end()

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...

    def _name(self, signature: Any, codegen: Any) -> str:
        key = hashlib.sha256(f"{signature} {codegen.magic_tuple()}".encode()).hexdigest()
        function = re.sub(
            r"[^\w.]", "", f"{self._function.__module__}.{self._function.__qualname__}"
        )
        return f"{function}-{self._sources}-{key[:16]}{ENDING}"

    @cached_property
    def _sources(self) -> str:
        """Digest of all that code follows from.

        The sources of a function and of what it calls, what its closure holds, and versions.
        """
        versions = (numba.__version__, version("llvmlite"), np.__version__, sys.version)
        digest = hashlib.sha256(repr(versions).encode())
        digest.update(repr(list(_closure(self._function))).encode())
        for file in sorted({__file__, *_files(self._function)}):
            digest.update(_hash(file))
        return digest.hexdigest()[:16]


def _files(function: FunctionType) -> Iterator[str]:
    """Yield the files of a function and of the compiled ones that it calls."""
    yield inspect.getfile(function)
    names = (function.__globals__.get(name) for name in function.__code__.co_names)
    cells = (cell.cell_contents for cell in function.__closure__ or ())
    for value in (*names, *cells):
        # Of what is compiled, or of what writes the instructions of an intrinsic.
        called = getattr(value, "py_func", getattr(value, "_defn", None))
        if called is not None and called is not function:
            yield from _files(called)


def _closure(function: FunctionType) -> Iterator[str]:
    """Yield what a function's closure holds: by it, functions that share their code differ."""
    for cell in function.__closure__ or ():
        called = getattr(cell.cell_contents, "py_func", None)
        if called is None:
            yield repr(cell.cell_contents)
        else:
            yield f"{called.__module__}.{called.__qualname__}"
            yield from _closure(called)


@cache
def _hash(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


def jit_inline(function: F) -> F:
    """Compile a step of compiled functions, which takes the order of its sums as it stands."""
    return cast(F, numba.njit(fastmath={"contract"}, error_model="numpy")(function))


def jit_template(function: F) -> F:
    """Compile a part of loops into each loop that calls it, as if it had been written there."""
    return cast(F, _NJIT(inline="always", _nrt=False)(function))


def supports_jit(weight: Tensor) -> bool:
    """Tell whether compiled functions take it: [pack, out, in] in float32 on a CPU, no autograd."""
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.ndim == 3
    return plain and weight.is_contiguous() and not weight.requires_grad


def as_pack_array(value: Tensor, size: int) -> Array:
    """Return a hyperparameter for each network, [pack], as an array."""
    numbers: Array = value.flatten().expand(size).contiguous().numpy()
    return numbers
