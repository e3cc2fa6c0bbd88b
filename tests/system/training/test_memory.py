"""Memory of a pack, measured in a process that trains one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.memory_cases import CASES
from support.paths import ROOT, TESTS

MIB = 2**20


GROWTH = """
import re, sys
from dataclasses import replace
from support.packs import small_images
from sweeper.training.pack import train_pack
from sweeper.training.memory import estimated
from support.memory_cases import CASES, trials

case = CASES[sys.argv[1]]
data = small_images(case[4])
def run(count):
    many = trials(*[case[0]] * count, model=case[1], optimizer=case[2])
    # One epoch takes as much memory as three.
    train_pack([replace(one, recipe=replace(one.recipe, epochs=1)) for one in many], data)
def held(key):
    return 1024 * int(re.search(rf"{key}:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
run(1)  # compiles, and loads what is loaded once
before = held("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak so far; that of the process that started this one counts too
run(case[3])
said = estimated(trials(case[0], model=case[1], optimizer=case[2]), data)
print((held("VmHWM") - before) / case[3], said)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("case", CASES)
def test_a_pack_takes_no_more_memory_than_estimated(case: str) -> None:
    # Oracle: the growth of a process that trains and judges a pack.
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, case],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{TESTS}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    taken, said = map(float, done.stdout.split())
    assert said / 3 < taken <= said, f"{taken / MIB:.1f} MiB taken, {said / MIB:.1f} MiB estimated"
