"""Slopes dR/d|w| as small tensors in place of a whole matrix: affine in |w|, in its log or power.

Shapes: `rows` [pack, out, 1], `columns` [pack, 1, in], what is for each network [pack]. Over a
matrix of 266,200 weights they are applied in one pass, see `sweeper.kernels.apply`.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """dR/d|w| = rows_i + columns_j + row_factors_i x column_factors_j x |w_ij|, within bounds."""

    rows: Tensor
    columns: Tensor
    row_factors: Tensor
    """[pack, out, 1]"""
    column_factors: Tensor
    """[pack, 1, in]"""
    least: Tensor
    most: Tensor

    @classmethod
    def of(
        cls,
        weight: Tensor,
        *,
        rows: Tensor | float = 0.0,
        columns: Tensor | float = 0.0,
        row_factors: Tensor | float = 1.0,
        column_factors: Tensor | float = 0.0,
        least: Tensor | float | None = None,
        most: Tensor | float | None = None,
    ) -> Self:
        """Fill in what a formula does not need; what it gives broadcasts to the shapes above."""
        pack, out, inputs = weight.shape
        largest = torch.finfo(weight.dtype).max  # not infinity, which a strength of 0 makes NaN
        return cls(
            filled(rows, weight, (pack, out, 1)),
            filled(columns, weight, (pack, 1, inputs)),
            filled(row_factors, weight, (pack, out, 1)),
            filled(column_factors, weight, (pack, 1, inputs)),
            per_pack(-largest if least is None else least, weight),
            per_pack(largest if most is None else most, weight),
        )

    def times(self, factor: Tensor) -> Self:
        """Return the slope multiplied by a factor >= 0 for each network, [pack]."""
        factors = factor.view(-1, 1, 1)
        return replace(
            self,
            rows=self.rows * factors,
            columns=self.columns * factors,
            row_factors=self.row_factors * factors,
            least=self.least * factor,
            most=self.most * factor,
        )

    def over(self, weight: Tensor) -> Tensor:
        """Return the slope at each weight, [pack, out, in]."""
        constant = self.rows + self.columns
        slope = constant + (self.row_factors * self.column_factors) * weight.abs()
        return slope.clamp(self.least.view(-1, 1, 1), self.most.view(-1, 1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Logarithmic:
    """dR/d|w| = rows_i + columns_j + factor x log(scale x |w_ij|), of no less than `tiny`."""

    rows: Tensor
    columns: Tensor
    factor: Tensor
    scale: Tensor

    @classmethod
    def of(
        cls,
        weight: Tensor,
        *,
        factor: Tensor | float,
        scale: Tensor,
        rows: Tensor | float = 0.0,
        columns: Tensor | float = 0.0,
    ) -> Self:
        """Fill in what a formula does not need."""
        pack, out, inputs = weight.shape
        return cls(
            filled(rows, weight, (pack, out, 1)),
            filled(columns, weight, (pack, 1, inputs)),
            per_pack(factor, weight),
            per_pack(scale, weight),
        )

    def times(self, factor: Tensor) -> Self:
        """Return the slope multiplied by a factor for each network, [pack]."""
        factors = factor.view(-1, 1, 1)
        return replace(
            self,
            rows=self.rows * factors,
            columns=self.columns * factors,
            factor=self.factor * factor,
        )

    def over(self, weight: Tensor) -> Tensor:
        """Return the slope at each weight, [pack, out, in]."""
        logs = log_of(weight, self.scale)
        return self.rows + self.columns + logs.mul_(self.factor.view(-1, 1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Power:
    """dR/d|w| = constant + factor x (q^exponent - near), q = scale x |w_ij|, of `tiny` or more.

    `near` is 1 where powers are next to 1 and their distance from it is what counts, else 0.
    """

    constant: Tensor
    factor: Tensor
    scale: Tensor
    exponent: Tensor
    near: Tensor

    def times(self, factor: Tensor) -> Self:
        """Return the slope multiplied by a factor for each network, [pack]."""
        return replace(self, constant=self.constant * factor, factor=self.factor * factor)

    def over(self, weight: Tensor) -> Tensor:
        """Return the slope at each weight, [pack, out, in]."""
        logs = log_of(weight, self.scale).mul_(self.exponent.view(-1, 1, 1))
        powers = torch.where(self.near.view(-1, 1, 1) > 0, logs.expm1(), logs.exp())
        return self.constant.view(-1, 1, 1) + self.factor.view(-1, 1, 1) * powers


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdAndScale:
    """A proximal operator rows_i x columns_j x S(v, amount), S the soft threshold of L1."""

    amount: Tensor
    """[pack]"""
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(
        cls,
        weight: Tensor,
        amount: Tensor | float,
        *,
        rows: Tensor | float = 1.0,
        columns: Tensor | float = 1.0,
    ) -> Self:
        """Fill in what a formula does not need; what it gives broadcasts to the shapes above."""
        pack, out, inputs = weight.shape
        return cls(
            per_pack(amount, weight),
            filled(rows, weight, (pack, out, 1)),
            filled(columns, weight, (pack, 1, inputs)),
        )


Small = Affine | Logarithmic | Power
Slope = Tensor | Small


def spread(slope: Slope, weight: Tensor) -> Tensor:
    """Return a slope at each weight, [pack, out, in]."""
    return slope.expand_as(weight) if isinstance(slope, Tensor) else slope.over(weight)


def log_of(weight: Tensor, scale: Tensor) -> Tensor:
    """Return log(scale x |w|), that of the smallest normal number for 0; scale [pack]."""
    tiny = torch.finfo(weight.dtype).tiny
    return (weight.abs() * scale.view(-1, 1, 1)).clamp_min_(tiny).log_()


def filled(value: Tensor | float, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a number or a tensor, in the weights' type, of a shape that it broadcasts to."""
    if not isinstance(value, Tensor):
        return weight.new_full(shape, value)
    return value.to(weight.dtype).expand(shape)


def per_pack(value: Tensor | float, weight: Tensor) -> Tensor:
    """Return a number, [pack] or [pack, 1, 1] as [pack]."""
    if not isinstance(value, Tensor):
        return weight.new_full((len(weight),), value)
    return value.to(weight.dtype).flatten().expand(len(weight))
