"""The processor as Linux tells it: its maker, and whether it multiplies bfloat16."""

from pathlib import Path

import pytest

from sweeper.kernels.processor import multiplies_bfloat16, vendor


def test_the_maker_of_the_processor_is_read_where_linux_tells_it(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    assert vendor(file) == ""
    file.write_bytes(b"processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t: avx\xff\n")
    assert vendor(file) == "AuthenticAMD"
    file.write_text("processor : 0\n")
    assert vendor(file) == ""


@pytest.mark.parametrize(
    ("flags", "multiplies"),
    [
        ("fpu avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fpu avx512f avx512_bf16x", False),
        ("", False),
    ],
)
def test_bfloat16_is_multiplied_where_a_flag_says_so(
    tmp_path: Path, flags: str, multiplies: bool
) -> None:
    file = tmp_path / "cpuinfo"
    assert not multiplies_bfloat16(file)
    file.write_text(f"flags\t\t: {flags}\n")
    assert multiplies_bfloat16(file) == multiplies
