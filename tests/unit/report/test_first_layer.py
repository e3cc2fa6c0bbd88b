"""Which pixels survive, from kept networks."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from support.family_cases import confirmed_search, report
from support.html_text import readable
from sweeper.reports.first_layer import Gallery, counts, gallery
from sweeper.training.checkpoint import to_safetensors


def pictures(content: bytes) -> Gallery:
    """Return the gallery of a confirmation that keeps this network of l1."""
    _, _, confirmation = confirmed_search(repeats=2)
    shown = gallery(replace(confirmation, networks={"l1": content}))
    assert shown
    return shown


def network(weight: torch.Tensor) -> bytes:
    return to_safetensors({"1.weight": weight, "1.bias": torch.ones(len(weight))}, {})


@pytest.mark.parametrize("density", [0.02, 0.9])  # written by index, and as it is
def test_each_pixel_has_the_weights_that_are_left_on_it(density: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(30, 784, generator=generator)
    weight *= torch.rand(30, 784, generator=generator) < density
    found = counts(network(weight), (1, 28, 28))
    assert found is not None
    assert np.array_equal(found, (weight != 0).sum(0).reshape(28, 28).numpy())


def test_other_networks_have_no_such_picture() -> None:
    kernels = to_safetensors({"0.weight": torch.ones(4, 1, 3, 3)}, {})
    assert counts(kernels, (1, 28, 28)) is None
    assert counts(network(torch.ones(3, 3 * 64)), (3, 8, 8)) is None
    assert counts(network(torch.ones(3, 100)), (1, 28, 28)) is None
    assert counts(save({"a": torch.ones(2)}, {"shapes": "{}"}), (1, 8, 8)) is None


@pytest.mark.parametrize(
    "shapes", ["{", "[]", "{}", "5", '{"1.weight": 5}', '{"1.weight": [0, 784]}']
)
def test_what_is_no_network_has_no_picture(shapes: str) -> None:
    """It lies beside a trial, where anybody may have put it."""
    metadata = {"shapes": shapes}
    assert counts(save({"1.bias": torch.ones(2)}, metadata), (1, 28, 28)) is None
    for content in (b"", b"<script>", b"\xff" * 100, b"[" * 100_000):
        assert counts(content, (1, 28, 28)) is None


def test_networks_without_any_weight_are_white() -> None:
    (layer,) = pictures(network(torch.zeros(3, 784))).pictures
    assert (layer.used, layer.pixels, layer.weights) == (0, 784, 0)


def test_the_picture_is_white_where_nothing_is_left_and_darkest_where_most_is() -> None:
    weight = torch.zeros(4, 784)
    weight[:, 5], weight[0, 29] = 1.0, 1.0
    shown = pictures(network(weight))
    (layer,) = shown.pictures
    assert (layer.used, layer.pixels, layer.weights) == (2, 784, 5)
    assert shown.most == 4
    content = base64.b64decode(layer.url.partition("base64,")[2])
    image = np.asarray(Image.open(io.BytesIO(content)))
    assert image.shape == (28, 28, 3)
    assert image[0, 5].tolist() == [0, 63, 114]
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 5].sum() < image[1, 1].sum() < image[0, 0].sum()


def test_a_report_has_them_where_networks_are_kept() -> None:
    assert "Which pixels survive" not in report(2)
    text = readable(report(2, networks={"l1": network(torch.ones(4, 784))}))
    assert "Which pixels survive" in text
    assert "784 of 784 pixels, 3,136 weights" in text
    assert "within 7,600 nonzero parameters, the first repeat" in text
