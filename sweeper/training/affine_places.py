"""Affine places: what a linear layer or convolution sees of its inputs at each of its outputs."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class AffinePlaces:
    """The places of a layer: at each, one and the same product is taken of other inputs.

    Inputs and outputs are those of two equal examples, [2, ...].
    """

    layer: nn.Linear | nn.Conv1d | nn.Conv2d
    shape: tuple[int, ...]
    """Of the inputs."""
    groups: int

    def columns(self, value: Tensor) -> Tensor:
        """Return what each place sees of inputs [2, ...], of one example: 0 of padding."""
        value = value[:1].double()
        if isinstance(self.layer, nn.Linear):
            return value.movedim(-1, 1).reshape(1, value.shape[-1], -1)
        image = functional.pad(value, self._padding)
        columns = functional.unfold(image if image.ndim == 4 else image[:, :, None], **self._window)
        return columns.view(self.groups, -1, columns.shape[-1])

    def inputs(self, columns: Tensor) -> Tensor:
        """Return the inputs [2, ...] that places need, from the columns that they see."""
        shape = self.shape
        if isinstance(self.layer, nn.Linear):
            last = columns.view(1, shape[-1], *shape[1:-1]).movedim(1, -1)
            return last.expand(shape)
        padding = self._padding
        padded = self._padded
        columns = columns.double().view(1, -1, columns.shape[-1])
        image = functional.fold(columns, padded, **self._window) > 0
        if len(shape) == 3:
            image = image[:, :, 0]
        for side, (begin, end) in enumerate(zip(padding[::2], padding[1::2], strict=True), 1):
            image = image.narrow(-side, begin, image.shape[-side] - begin - end)
        return image.expand(shape)

    @property
    def _padding(self) -> list[int]:
        """Zeros before and behind each axis, the last one first."""
        return list(vars(self.layer)["_reversed_padding_repeated_twice"])

    @property
    def _padded(self) -> tuple[int, int]:
        """Height and width of the inputs with their padding; a line has a height of 1."""
        padding, sizes = self._padding, self.shape[2:]
        pairs = list(zip(padding[::2], padding[1::2], strict=True))[::-1]
        sides = [size + sum(pair) for size, pair in zip(sizes, pairs, strict=True)]
        return (sides[0], sides[1]) if len(sides) == 2 else (1, sides[0])

    @property
    def _window(self) -> dict[str, tuple[int, ...]]:
        layer = self.layer
        if isinstance(layer, nn.Linear):
            raise AssertionError("a linear layer has no window")
        parts = {
            "kernel_size": layer.kernel_size,
            "dilation": layer.dilation,
            "stride": layer.stride,
        }
        return {key: (1,) * (2 - len(value)) + tuple(value) for key, value in parts.items()}

    def _out_shape(self) -> tuple[int, ...]:
        """Return the shape of one example's outputs."""
        shape = self.shape
        outputs = len(self.layer.weight)
        if isinstance(self.layer, nn.Linear):
            return (*shape[1:-1], outputs)
        window = self._window
        sides = [
            (side - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, dilation, stride in zip(
                self._padded,
                window["kernel_size"],
                window["dilation"],
                window["stride"],
                strict=True,
            )
        ]
        return (outputs, *sides[4 - len(shape) :])

    def outputs(self, value: Tensor) -> Tensor:
        """Return outputs [groups, outputs, places] as the layer gives them, [2, ...]."""
        shape = self._out_shape()
        flat = value.flatten(0, 1)
        if isinstance(self.layer, nn.Linear):
            return flat.T.reshape(1, *shape).expand(2, *shape)
        return flat.reshape(1, *shape).expand(2, *shape)

    def of_outputs(self, value: Tensor) -> Tensor:
        """Return outputs [2, ...] as [groups, outputs, places]."""
        if isinstance(self.layer, nn.Linear):
            return value[:1].movedim(-1, 1).reshape(1, value.shape[-1], -1)
        return value[0].reshape(self.groups, len(self.layer.weight) // self.groups, -1)
