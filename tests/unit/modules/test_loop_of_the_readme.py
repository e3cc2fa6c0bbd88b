"""The README's loop, run as it stands."""

import torch
from torch import Tensor, nn

import sweeper
from support.readmes import MODULES, blocks, cells, rows
from sweeper import Penalty, modules


def test_the_loop_prunes_and_counts() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    batches: list[tuple[Tensor, Tensor]] = [
        (torch.randn(8, 6), torch.randint(0, 3, (8,))) for _ in range(4)
    ]
    names: dict[str, object] = {"model": model, "batches": batches}
    for block in blocks(MODULES, "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["Penalty"] is Penalty
    weights = [value for value in model.parameters() if value.ndim == 2]
    assert sum(int(torch.count_nonzero(weight)) for weight in weights) == round(0.05 * 180)


def test_the_table_has_every_public_name() -> None:
    first = " ".join(cells(row)[0] for row in rows(MODULES, "| name |"))
    for name in modules.__all__:
        if name != "ModuleCount":  # what `count` returns
            assert f"`{name}" in first, name
        if name not in {"ModuleCount", "Masks"}:
            assert getattr(sweeper, name) is getattr(modules, name)
