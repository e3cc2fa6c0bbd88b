"""Penalties of tiles: squares that a matrix is cut into, from its first weight on.

Tiles at the far edges are smaller. Weights of a tile are neighbours. Neurons have no order of their
own, so tiles mean most along the inputs, and in hardware that computes in blocks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sweeper.regularizers.marginals import entropy, log, over
from sweeper.regularizers.ops import FloatOrTensor, formula, nonzero, operator, per_network, total


@formula
def tile_entropy(weight: Tensor, *, sizes: str = "2 4 8", scaled: bool = True) -> Tensor:
    """Entropies of the masses of tiles: R(W) = sum over sizes of H(m), times S = sum |w| if scaled.

    m are the sums of |W| in all tiles of one size, over S. It asks for few tiles, at each of the
    sizes: for weights that lie together, and for few of them.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> apart = torch.tensor([[[1.0, 0, 0, 1], [0, 0, 0, 0]]])  # in two tiles of 2, in one of 4
    >>> together = torch.tensor([[[1.0, 1, 0, 0], [0, 0, 0, 0]]])
    >>> tile_entropy(torch.cat([apart, together]), sizes="2 4", scaled=False)
    tensor([0.6931, 0.0000])
    """
    sums = _masses_of_tiles(weight.abs(), sizes)
    scale = total(sums[0])
    safe = nonzero(scale)[..., None, None]
    entropies = torch.stack([entropy(masses / safe).sum(-1) for masses in sums]).sum(0)
    return scale.detach() * entropies if scaled else entropies


@operator
def tile_entropy_shrinkage(weight: Tensor, *, sizes: str = "2 4 8", scaled: bool = True) -> Tensor:
    """dR/d|w| = -(log m + H(m)) of the tile of w, summed over sizes; over S if not scaled.

    Shapes: [pack, out, in] -> the same.
    """
    sums = _masses_of_tiles(weight.abs(), sizes)
    scale = total(sums[0])
    safe = nonzero(scale)[..., None, None]
    slope = None
    for masses in reversed(sums):  # the largest tiles first, each size on top of the next
        shares = masses / safe
        logs = log(shares)
        here = total(shares.mul_(logs))[..., None, None] - logs
        slope = here if slope is None else here + spread_tiles(slope, 2, here)
    if slope is None:
        return torch.zeros_like(weight)
    first = int(sizes.split(maxsplit=1)[0])
    return spread_tiles(over(slope, scale, scaled), first, weight)


@formula
def tile_group_lasso(weight: Tensor, *, tile: int = 4) -> Tensor:
    """Sum of norms of tiles: R(W) = sum over tiles g of d weights of sqrt(d) |w_g|_2.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros, whole tiles, by prox.
    Reference: Yuan and Lin 2006, Model selection and estimation in regression with grouped
    variables; tiles as groups: Wen et al. 2016, Learning structured sparsity in deep neural
    networks.

    >>> tile_group_lasso(torch.tensor([[[3.0, 4.0, 1.0]]]), tile=2)  # sqrt(2) x 5 + 1
    tensor([8.0711])
    """
    _, norms, largest = _unit_tiles(weight, tile)
    return total(roots_of_sizes(weight, tile) * (norms * largest))


@operator
def tile_group_lasso_shrinkage(weight: Tensor, *, tile: int = 4) -> Tensor:
    """dR/d|w| = sqrt(d) |w| / |w_g|_2, 0 in a tile of zeros.

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    unit, norms, _ = _unit_tiles(weight, tile)
    return unit.mul_(spread_tiles(roots_of_sizes(weight, tile) / norms, tile, weight))


@operator
def tile_group_lasso_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, tile: int = 4
) -> Tensor:
    """w_g max(0, 1 - t sqrt(d) / |w_g|_2) in each tile g, t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros, whole
    tiles at a time.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.5.4.

    >>> weight = torch.tensor([[[3.0, 4.0, 0.5]]])
    >>> tile_group_lasso_prox(weight, step=1.0, strength=2.5 / 2**0.5, tile=2)
    tensor([[[1.5000, 2.0000, 0.0000]]])
    """
    t = per_network(step * strength, weight)
    norms = tile_sums(weight.square(), tile).sqrt_()
    # t = 0 leaves a tile of zeros alone. A norm that float32 takes for 0 or infinite makes the
    # share that remains 0 or 1, which is right.
    share = 1 - t * roots_of_sizes(weight, tile) / norms.clamp_min_(1e-30)
    return weight * spread_tiles(share.clamp_min_(0), tile, weight)


def tile_sums(values: Tensor, size: int) -> Tensor:
    """Sum each tile, [..., out, in] -> [..., tiles down, tiles across].

    >>> tile_sums(torch.ones(3, 5), 2)
    tensor([[4., 4., 2.],
            [2., 2., 1.]])
    """
    return block_sums(block_sums(values, size, -2), size, -1)


def block_sums(values: Tensor, size: int, dim: int) -> Tensor:
    """Sum each `size` neighbours along a dimension < 0; at its end they may be fewer."""
    return _by_blocks(values, size, dim, torch.add)


def spread_tiles(values: Tensor, size: int, like: Tensor) -> Tensor:
    """Repeat the value of each tile at all of its places in a matrix like the given one."""
    rows, columns = like.shape[-2:]
    wide = values.repeat_interleave(size, -1).narrow(-1, 0, columns)
    return wide.repeat_interleave(size, -2).narrow(-2, 0, rows)


def roots_of_sizes(weight: Tensor, size: int) -> Tensor:
    """Return sqrt(d) of each tile, [tiles down, tiles across]."""
    rows, columns = (block_sums(weight.new_ones(side), size, -1) for side in weight.shape[-2:])
    return (rows[:, None] * columns).sqrt()


def _masses_of_tiles(magnitudes: Tensor, sizes: str) -> list[Tensor]:
    """Return the sums of tiles of each size, every size twice the one before it."""
    first, *others = (int(size) for size in sizes.split())
    sums = [tile_sums(magnitudes, first)]
    for _ in others:
        sums.append(tile_sums(sums[-1], 2))
    return sums


def _unit_tiles(weight: Tensor, tile: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return |W| over the largest of its tile, the norms of that, and those largest.

    As for other groups: exact for weights of 1e-20 or 1e20, 1 the norm of a tile of zeros, the
    largest held constant, which changes no gradient.
    """
    magnitudes = weight.abs()
    largest = _largest(magnitudes.detach(), tile)
    unit = magnitudes / spread_tiles(nonzero(largest), tile, weight)
    return unit, nonzero(tile_sums(unit.square(), tile)).sqrt(), largest


def _largest(magnitudes: Tensor, tile: int) -> Tensor:
    """Return the largest of each tile, [..., tiles down, tiles across]."""
    rows = _by_blocks(magnitudes, tile, -2, torch.maximum)
    return _by_blocks(rows, tile, -1, torch.maximum)


def _by_blocks(
    values: Tensor, size: int, dim: int, combine: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Combine each `size` neighbours along a dimension < 0, from the first to the last.

    PyTorch's own reduction of two to eight neighbours is slower.
    """
    ordered = values.movedim(dim, -1)
    combined = ordered[..., ::size]
    count = combined.shape[-1]
    for place in range(1, min(size, ordered.shape[-1])):
        part = ordered[..., place::size]
        complete = part.shape[-1]
        both = combine(combined[..., :complete], part)
        combined = torch.cat([both, combined[..., complete:]], -1) if complete < count else both
    return combined.movedim(-1, dim)
