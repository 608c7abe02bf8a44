import numpy as np
import pytest
import torch

from detres.data.images.colours import EIGENVALUES, EIGENVECTORS, add_lighting, lighting_colours
from detres.draws import Purpose, key

KEYS = torch.tensor([key(0, Purpose.SAMPLING, 0, i) for i in range(20_000)])


def test_the_components_are_orthonormal() -> None:
    vectors = np.array(EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)


def test_colours_have_the_statistics_of_the_components() -> None:
    """Mean 0, and the covariance whose eigenvectors are the components, with spreads of 0.1 times the eigenvalues."""
    colours = lighting_colours(KEYS, 0.1).double().numpy()
    vectors, spreads = np.array(EIGENVECTORS), 25.5 * np.array(EIGENVALUES)
    expected = vectors @ np.diag(spreads**2) @ vectors.T
    errors = spreads.max() / len(KEYS) ** 0.5
    assert np.abs(colours.mean(axis=0)).max() < 4 * errors
    np.testing.assert_allclose(np.cov(colours.T), expected, rtol=0.05, atol=0.01)
    along = colours @ np.linalg.inv(vectors).T / spreads
    np.testing.assert_allclose(along.std(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(along.T), np.eye(3), atol=0.03)
    # The fourth moment of a normal distribution is three times the square of its variance.
    np.testing.assert_allclose((along**4).mean(axis=0), 3, atol=0.25)


def test_one_colour_is_added_to_all_pixels_of_an_image() -> None:
    images = torch.randint(256, (3, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    lit = add_lighting(images, KEYS[:3], 0.1)
    assert lit.dtype == torch.float32
    expected = images.double() + lighting_colours(KEYS[:3], 0.1).double()[:, None, None]
    torch.testing.assert_close(lit.double(), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(add_lighting(images.float(), KEYS[:3], 0.1), lit)


def test_colours_depend_on_the_keys_alone() -> None:
    colours = lighting_colours(KEYS[:8], 0.1)
    assert torch.equal(lighting_colours(KEYS[[5, 2]], 0.1), colours[[5, 2]])
    assert len(colours.unique(dim=0)) == 8


def test_no_spread_and_no_images_change_nothing() -> None:
    images = torch.full((2, 4, 4, 3), 200, dtype=torch.uint8)
    assert torch.equal(add_lighting(images, KEYS[:2], 0.0), images.float())
    assert add_lighting(images[:0], KEYS[:0], 0.1).shape == (0, 4, 4, 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_the_same_colours() -> None:
    torch.testing.assert_close(lighting_colours(KEYS.cuda(), 0.1).cpu(), lighting_colours(KEYS, 0.1), atol=1e-3, rtol=0)
