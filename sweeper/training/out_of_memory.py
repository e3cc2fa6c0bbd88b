"""Out-of-memory errors: told apart from other failures; and memory set free."""

import gc
import re
import sys

_CPU = re.compile(
    # PyTorch's allocator on Linux, then elsewhere; C++ itself.
    r"DefaultCPUAllocator: (can't allocate memory|not enough memory)|^std::bad_alloc$"
)
_CUDA = re.compile(
    r"CU(BLAS|DNN|SOLVER)_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED"
    # What libraries say that found no room for their own workspaces.
    r"|CUBLAS_STATUS_NOT_INITIALIZED when calling `cublas(Lt)?Create"
    r"|unable to find an engine to execute this computation"
    r"|^CUDA (driver )?error: out of memory"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error says that no memory was left, on the CPU or the GPU.

    It may hide behind another one: the end of a CUDA graph whose capture it broke off fails too.
    """
    return _is_allocation_error(error) or (
        error.__context__ is not None and is_out_of_memory(error.__context__)
    )


def _is_allocation_error(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # without it nothing was trained with it
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and bool(_CPU.search(text) or _CUDA.search(text))


def free_memory() -> None:
    """Free memory that nobody holds any more, cycles and a GPU's cache too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
