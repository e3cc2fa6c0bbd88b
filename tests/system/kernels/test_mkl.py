"""Products by PyTorch's own library, in an interpreter started for them."""

import os
import subprocess
import sys

BY_MKL = """
import torch
from sweeper.kernels import matmul as matmul
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
made = lambda *shape: torch.randn(*shape, generator=generator)
alone = lambda stack, k: stack[k : k + 1].clone()
others = 0
for batch, inputs, outputs in ((50, 75, 10), (50, 33, 10), (50, 10, 7), (50, 64, 75), (33, 9, 75)):
    x, w, b = made(4, batch, inputs), made(4, outputs, inputs), made(4, 1, outputs)
    forward = torch.baddbmm(b, x, w.mT)
    backward = torch.bmm(x.mT, forward)
    for k in range(4):
        one = torch.baddbmm(alone(b, k), alone(x, k), alone(w, k).mT)
        others += not torch.equal(one[0], forward[k])
        others += not torch.equal(torch.bmm(alone(x, k).mT, alone(forward, k))[0], backward[k])
print(others)
"""


def test_products_of_odd_sizes_are_the_same_in_a_pack_as_alone() -> None:
    """By PyTorch's own library, whichever is taken here: where MKL is it, in its strict mode."""
    without = {key: value for key, value in os.environ.items() if key != "MKL_CBWR"}
    command = [sys.executable, "-c", BY_MKL]
    done = subprocess.run(command, env=without, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
