import numpy as np
import pytest
import torch

from detres.classification.mixing import Mixing, numpy_seeded
from detres.errors import ConfigError

LABELS = torch.tensor([0, 1, 2, 3])


def pictures(count=4, side=8):
    """Each image is of one value, its number: what is mixed shows."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 3, side, side).clone()


def test_mixup_adds_opposites_in_the_proportion_of_their_labels():
    images, shares = Mixing(4, mixup=0.4)(pictures(), LABELS, key=5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    for i in range(4):
        torch.testing.assert_close(images[i], (shares[i, i] * i + shares[i, 3 - i] * (3 - i)).expand(3, 8, 8))


def test_cutmix_gives_each_class_the_share_of_its_pixels():
    mixing = Mixing(4, cutmix=1.0)
    for key in range(10):
        images, shares = mixing(pictures(), LABELS, key)
        for i in range(4):
            own = (images[i] == i).float().mean()
            torch.testing.assert_close(shares[i, i], own)
            torch.testing.assert_close(shares[i, 3 - i], (images[i] == 3 - i).float().mean())


def test_smoothing_spreads_its_part_over_all_classes():
    _, shares = Mixing(4, mixup=0.4, smoothing=0.2)(pictures(), LABELS, key=5)
    assert shares.min().item() == pytest.approx(0.05)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))


def test_the_key_alone_decides_and_numpys_global_generator_goes_on_as_if_nothing_was_drawn():
    mixing = Mixing(4, mixup=0.4, cutmix=1.0)
    np.random.seed(1)  # noqa: NPY002
    undisturbed = np.random.rand(3)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    drawn = [np.random.rand()]  # noqa: NPY002
    first = mixing(pictures(), LABELS, key=2**62 + 3)
    drawn.append(np.random.rand())  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    again = mixing(pictures(), LABELS, key=2**62 + 3)
    assert drawn == undisturbed[:2].tolist()
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    others = [mixing(pictures(), LABELS, key)[1] for key in (3, 2**62 + 4)]
    assert not any(torch.equal(first[1], shares) for shares in others)


def test_both_halves_of_a_key_count():
    drawn = []
    for key in (1, 2**32 + 1, 2**62 + 1, 2**63 - 1):
        with numpy_seeded(key):
            drawn.append(np.random.rand())  # noqa: NPY002
    assert len(set(drawn)) == 4


def test_one_of_both_is_drawn_for_a_batch():
    mixing = Mixing(4, mixup=0.4, cutmix=1.0)
    mixed = [mixing(pictures(), LABELS, key)[0] for key in range(20)]
    cut = [
        image.unique().numel() == 2 or torch.equal(image[0, 0].unique(), image[0, 0].unique().round())
        for image in mixed
    ]
    assert 0 < sum(cut) < 20


def test_an_odd_batch_is_refused_and_nothing_to_mix_by_too():
    with pytest.raises(ConfigError, match=r"an even training\.per_device_batch"):
        Mixing(4, mixup=0.1)(pictures(3), LABELS[:3], key=0)
    with pytest.raises(ValueError, match="both 0"):
        Mixing(4)
