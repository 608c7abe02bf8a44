"""Templates of names, read both ways."""

import pytest
import torch

from detres.conversion.renaming import rename, turned

PAIRS = (
    ("body.res{stage}.{block}.norm.{leaf}", "layer{stage}.{block}.bn.{leaf}"),
    ("body.res{stage}.{block}.{leaf}", "layer{stage}.{block}.conv.{leaf}"),
    ("head.conv.{n}.{leaf}", "convs.{n}.{leaf}"),
    ("head.conv.{leaf}", "convs.0.{leaf}"),  # as it was called once
    ("tail.{rest}", "end.{rest}"),
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("body.res2.10.norm.running_mean", "layer2.10.bn.running_mean"),
        ("body.res2.10.weight", "layer2.10.conv.weight"),
        ("head.conv.1.bias", "convs.1.bias"),
        ("tail.a.b.c", "end.a.b.c"),
    ],
)
def test_a_name_goes_over_and_comes_back(theirs: str, ours: str) -> None:
    tensor = torch.zeros(1)
    assert rename({theirs: tensor}, PAIRS) == ({ours: tensor}, [])
    assert rename({ours: tensor}, turned(PAIRS)) == ({theirs: tensor}, [])


def test_of_two_names_for_one_of_ours_the_first_is_gone_back_to() -> None:
    tensor = torch.zeros(1)
    assert rename({"head.conv.weight": tensor}, PAIRS)[0] == {"convs.0.weight": tensor}
    assert rename({"convs.0.weight": tensor}, turned(PAIRS))[0] == {"head.conv.0.weight": tensor}


@pytest.mark.parametrize("name", ["body.resx.1.weight", "body.res2.1.norm.a.b", "bodyXres2.1.weight", "else"])
def test_names_that_fit_no_template_are_returned(name: str) -> None:
    assert rename({name: torch.zeros(1)}, PAIRS) == ({}, [name])


def test_nothing_is_renamed_to_nothing() -> None:
    assert rename({}, PAIRS) == ({}, [])
