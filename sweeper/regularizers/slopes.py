"""Slopes dR/d|w| that are affine in the magnitude: small tensors in place of a whole matrix."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """dR/d|w| = rows_i + columns_j + row_factors_i x column_factors_j x |w_ij|.

    `rows` and `row_factors` are [pack, out, 1], the others [pack, 1, in]. Over a matrix of
    266,200 weights it is applied in one pass, see `sweeper.regularizers.kernels`.
    """

    rows: Tensor
    columns: Tensor
    row_factors: Tensor
    column_factors: Tensor

    @classmethod
    def of(
        cls,
        weight: Tensor,
        *,
        rows: Tensor | float = 0.0,
        columns: Tensor | float = 0.0,
        row_factors: Tensor | float = 1.0,
        column_factors: Tensor | float = 0.0,
    ) -> "Affine":
        """Fill in what a formula does not need; what it gives broadcasts to the shapes above."""
        pack, out, inputs = weight.shape

        return cls(
            _filled(rows, weight, (pack, out, 1)),
            _filled(columns, weight, (pack, 1, inputs)),
            _filled(row_factors, weight, (pack, out, 1)),
            _filled(column_factors, weight, (pack, 1, inputs)),
        )

    def times(self, factor: Tensor) -> "Affine":
        """Return the slope multiplied by a factor for each network, [pack]."""
        own = factor.view(-1, 1, 1)
        return Affine(
            self.rows * own, self.columns * own, self.row_factors * own, self.column_factors
        )

    def over(self, weight: Tensor) -> Tensor:
        """Return the slope at each weight, [pack, out, in]."""
        constant = self.rows + self.columns
        return constant + (self.row_factors * self.column_factors) * weight.abs()


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """A proximal operator rows_i x columns_j x S(v, amount), S the soft threshold of L1."""

    amount: Tensor
    """[pack]"""
    rows: Tensor
    """[pack, out, 1]"""
    columns: Tensor
    """[pack, 1, in]"""

    @classmethod
    def of(
        cls,
        weight: Tensor,
        amount: Tensor | float,
        *,
        rows: Tensor | float = 1.0,
        columns: Tensor | float = 1.0,
    ) -> "Scaled":
        """Fill in what a formula does not need; what it gives broadcasts to the shapes above."""
        pack, out, inputs = weight.shape
        return cls(
            _filled(amount, weight, (pack, 1, 1)).flatten(),
            _filled(rows, weight, (pack, out, 1)),
            _filled(columns, weight, (pack, 1, inputs)),
        )


def _filled(value: Tensor | float, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(value, Tensor):
        return weight.new_full(shape, value)
    return value.to(weight.dtype).expand(shape)


def spread(slope: Tensor | Affine, weight: Tensor) -> Tensor:
    """Return a slope at each weight, [pack, out, in]."""
    return slope.over(weight) if isinstance(slope, Affine) else slope.expand_as(weight)
