"""Processor: its maker and what it can do, as Linux writes them; loads no torch."""

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MULTIPLIES_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
BFLOAT16_NEEDS = "it needs AVX-512 BF16, AMX or an NVIDIA GPU since 2020"


def vendor(cpuinfo: Path = _CPUINFO) -> str:
    """Return the maker of the processor; where it is not known ''."""
    return _first("vendor_id", cpuinfo)


def multiplies_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Tell whether there are instructions that multiply numbers of bfloat16.

    Elsewhere PyTorch takes them apart into float32 first, which is slower than float32.
    """
    return not _MULTIPLIES_BFLOAT16.isdisjoint(_first("flags", cpuinfo).split())


def _first(key: str, cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(values, "")
