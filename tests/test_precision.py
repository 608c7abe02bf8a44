from detres.precision import PRECISIONS


def test_there_are_three_and_float32_comes_first() -> None:
    assert PRECISIONS == ("float32", "bf16", "float16")
