"""What the files of every task say of themselves, on a task made up here."""

import json
from typing import Any

import pytest
from torch import nn

from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import ModelSettings
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig, ClassifierConfig
from detres.errors import WeightsError
from detres.structures import PixelStats
from detres.version import __version__

KNOWN = WeightsMetadata("resnet18", PixelStats((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "rgb"))


class PetSettings(ModelSettings[ClassifierConfig, ClassificationDataConfig, ClassificationTestConfig]):
    task = "petting"
    kind = "petter"
    sections = (ClassifierConfig, ClassificationDataConfig, ClassificationTestConfig)
    preprocessing_keys = ("crop",)

    @property
    def described(self) -> str:
        return "a pet"

    def build(self, where: str, *, own_code: str | None = None) -> nn.Module:
        return nn.Identity()


class OwnCodeSettings(PetSettings):
    may_be_code = True
    if_absent = "; see {where}"


def settings(kind: type[PetSettings] = PetSettings, backbone: WeightsMetadata | None = KNOWN) -> PetSettings:
    data, test = ClassificationDataConfig(crop=7), ClassificationTestConfig()
    return kind(ClassifierConfig(class_names=("cat", "dog")), data, test, backbone, {"c1": "frozen"}, "a recipe")


def text_of(made: PetSettings) -> dict[str, Any]:
    return json.loads(made.to_metadata()["detres"])


def test_the_text_says_who_wrote_what_and_how_it_is_fed() -> None:
    text = text_of(settings())
    assert list(text) == [
        *("schema", "detres_version", "task", "model", "preprocessing", "test", "backbone", "norms"),
        *("class_names", "recipe"),
    ]
    assert (text["schema"], text["detres_version"], text["task"]) == (1, __version__, "petting")
    assert (text["preprocessing"], text["norms"], text["recipe"]) == ({"crop": 7}, {"c1": "frozen"}, "a recipe")
    assert text["class_names"] == text["model"]["class_names"] == ["cat", "dog"]
    assert text["backbone"]["architecture"] == "resnet18"


@pytest.mark.parametrize("made", [settings(), settings(OwnCodeSettings), settings(OwnCodeSettings, None)])
def test_settings_come_back_as_they_were_written(made: PetSettings) -> None:
    assert type(made).from_metadata(made.to_metadata(), "there") == made


def test_a_file_without_a_recipe_can_be_read() -> None:
    text = text_of(settings())
    del text["recipe"]
    assert PetSettings.from_metadata({"detres": json.dumps(text)}, "there").recipe == ""


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"task": "detection"},
            "a detector, which eval_det, predict, visualize and train_det take, and here a petter is expected",
        ),
        ({"task": "classification"}, "a classifier, not a petter; .* with model.backbone.weights=there"),
        ({"task": "sewing"}, f"a sewing file of schema 1, written by detres {__version__}; expected a petting file"),
        ({"schema": 2}, "a petting file of schema 2, .* of schema 1 at most"),
        ({"schema": "one"}, "the file may be damaged"),
        ({"model": 3}, "the file may be damaged"),
        ({"model": {}}, "its metadata name no classes"),
        ({"norms": 5}, "the file may be damaged"),
        ({"backbone": {}}, "no metadata of weights"),
        ({"backbone": None}, "no metadata of weights"),
    ],
)
def test_files_that_are_not_its_own_are_refused_by_name(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(WeightsError, match=f"(?s)^there: .*{expected}"):
        PetSettings.from_metadata({"detres": json.dumps(text_of(settings()) | changed)}, "there")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": 3}, "ClassifierConfig: got 3, expected"),
        (
            {"test": {"scales": "x", "nothing_of_ours": 1}},
            "scales.0: got 'x', expected a whole number; nothing_of_ours is unknown",
        ),
        ({"preprocessing": [1]}, r"Config: got \[1\], expected"),
        ({"schema": "one"}, "a value is of another kind than it has to be"),
        ({"backbone": {"architecture": 3}}, "it has no pixel_stats"),
    ],
)
def test_what_is_wrong_with_them_is_a_line_without_words_of_python_or_links(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError, match=said) as caught:
        PetSettings.from_metadata({"detres": json.dumps(text_of(settings()) | changed)}, "there")
    assert "\n" not in str(caught.value)
    assert not any(words in str(caught.value) for words in ("http", "For further", "__init__", "not supported"))


@pytest.mark.parametrize("text", ["[1]", "null", "3", "[[1]]"])
def test_a_text_of_no_keys_is_told_in_ours(text: str) -> None:
    with pytest.raises(WeightsError, match="expected keys such as task"):
        PetSettings.from_metadata({"detres": text}, "there")


@pytest.mark.parametrize("missing", ["schema", "model", "preprocessing", "test", "backbone", "norms"])
def test_a_part_that_is_missing_is_damage(missing: str) -> None:
    text = text_of(settings())
    del text[missing]
    with pytest.raises(
        WeightsError, match=f"^there: its metadata cannot be read .it has no {missing}.; the file may be damaged"
    ):
        PetSettings.from_metadata({"detres": json.dumps(text)}, "there")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_file_that_says_nothing_is_told_where_to_go(metadata: dict[str, str] | None) -> None:
    with pytest.raises(WeightsError, match=r"^there: no petter of detres's: its metadata name neither"):
        PetSettings.from_metadata(metadata, "there")
    with pytest.raises(WeightsError, match=r"^there: no petter of detres's; see there$"):
        OwnCodeSettings.from_metadata(metadata, "there")


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "3"])
def test_what_is_no_json_object_is_damage(text: str) -> None:
    with pytest.raises(WeightsError, match="the file may be damaged"):
        PetSettings.from_metadata({"detres": text}, "there")
