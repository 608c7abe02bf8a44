from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import torchvision

from detres.backbones.weights.files import write_weights
from detres.backbones.weights.metadata import WeightsMetadata
from detres.classification.classifier import Lessons, build_classifier
from detres.errors import ConfigError
from detres.structures import IMAGENET_STATS, ClassificationBatch


def a_batch(count=4, size=32):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)
    return ClassificationBatch(images, torch.arange(count) % 10, tuple(range(count)))


def test_forward_is_the_cross_entropy_of_predict():
    torch.manual_seed(0)
    model, batch = build_classifier("cifar10_resnet20", num_classes=10).eval(), a_batch()
    logits = model.predict(batch.images)
    assert logits.shape == (4, 10)
    torch.testing.assert_close(model.predict(model.normalize(batch.images)), logits)
    assert list(model(batch)) == ["loss", "top1_error"]
    torch.testing.assert_close(model(batch)["loss"], F.cross_entropy(logits, batch.labels))


def test_the_error_is_measured_and_not_learned_from():
    torch.manual_seed(0)
    model, batch = build_classifier("cifar10_resnet20", num_classes=10).eval(), a_batch(10)
    error = model(batch)["top1_error"]
    assert not error.requires_grad
    wrong = model.predict(batch.images).argmax(dim=1) != batch.labels
    assert error.item() == pytest.approx(wrong.sum().item() / 10)


def test_lessons_are_given_in_training_alone_and_in_order():
    """Colours see RGB and the images' keys, mixing what is normalized and the batch's key, the loss its shares."""
    torch.manual_seed(0)
    model, batch = build_classifier("cifar10_resnet20", num_classes=10), a_batch()
    batch = replace(batch, sample_keys=torch.arange(4), key=7)
    seen = {}

    def colours(rgb, keys):
        seen["rgb"], seen["keys"] = rgb, keys
        return rgb + 1.0

    def mixing(images, labels, key):
        seen["images"], seen["key"] = images.clone(), key
        return images, F.one_hot(labels.flip(0), 10).float()

    def loss(logits, targets):
        seen["targets"] = targets
        return F.cross_entropy(logits, targets)

    model.lessons = Lessons(loss, colours, mixing)
    assert model.eval()(batch)["loss"] > 0
    assert list(seen) == ["targets"]
    assert torch.equal(seen["targets"], batch.labels)
    measured = model.train()(batch)
    assert seen["rgb"] is batch.images
    assert torch.equal(seen["keys"], batch.sample_keys)
    assert seen["key"] == 7
    torch.testing.assert_close(seen["images"], model.normalize(batch.images + 1.0))
    assert torch.equal(seen["targets"].argmax(dim=1), batch.labels.flip(0))
    assert 0 <= measured["top1_error"] <= 1


def test_an_empty_batch_has_no_logits():
    model = build_classifier("cifar10_resnet20", num_classes=10).eval()
    assert model.predict(torch.zeros(0, 32, 32, 3, dtype=torch.uint8)).shape == (0, 10)


def test_state_dict_and_parameters_have_torchvisions_names():
    with torch.device("meta"):
        ours, theirs = build_classifier("resnet50", num_classes=1000), torchvision.models.resnet50()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]


@pytest.mark.slow
def test_fc_starts_anew_for_other_classes_and_is_loaded_for_as_many(tmp_path):
    theirs = torchvision.models.resnet18(num_classes=7)
    path = tmp_path / "w.safetensors"
    write_weights(path, theirs.state_dict(), WeightsMetadata("resnet18", IMAGENET_STATS))
    same = build_classifier("resnet18", num_classes=7, weights=path)
    assert torch.equal(same.fc.weight, theirs.fc.weight)
    assert same.load_report.missing == ()
    assert set(same.norms.values()) == {"batch"}
    other = build_classifier("resnet18", num_classes=5, weights=path)
    assert set(other.load_report.missing) == set(other.load_report.left_over) == {"fc.weight", "fc.bias"}


def test_it_learns_a_batch_by_heart():
    torch.manual_seed(0)
    model, batch = build_classifier("cifar10_resnet20", num_classes=10).train(), a_batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    first = model(batch)["loss"].item()
    for _ in range(15):
        optimizer.zero_grad()
        loss = model(batch)["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * first


def test_what_cannot_be_built_is_one_message():
    with pytest.raises(ConfigError, match="is none of"):
        build_classifier("alexnet", num_classes=10)
    with pytest.raises(ConfigError, match="at least one class"):
        build_classifier("resnet18", num_classes=0)
