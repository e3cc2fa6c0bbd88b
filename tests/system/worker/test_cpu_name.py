"""The name of a CPU, with the instructions that PyTorch takes on it."""

import os
import subprocess
import sys

import torch

from sweeper.trainers import devices, provenance


def test_a_cpu_is_named_with_the_instructions_that_pytorch_takes_on_it() -> None:
    say = "import torch; from sweeper.trainers import devices; print(devices.activate('cpu'))"
    plain = dict(os.environ, ATEN_CPU_CAPABILITY="default")  # have PyTorch take none
    done = subprocess.run(
        [sys.executable, "-c", say], env=plain, capture_output=True, text=True, check=True
    )
    name = provenance.cpu_name()
    assert done.stdout.strip() == f"{name}, DEFAULT"
    assert devices.activate("cpu") == f"{name}, {torch.backends.cpu.get_cpu_capability()}"
