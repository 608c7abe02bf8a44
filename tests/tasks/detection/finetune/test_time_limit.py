from __future__ import annotations

import pytest

from detres.errors import ConfigError
from detres.tasks.detection.finetune.time_limit import in_words, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("1.5h", 5400), ("45s", 45), ("1d 2h", 93_600), ("2H", 7200)],
)
def test_times_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "-1h", "0h", "30m1h", "1:30"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(ConfigError, match="expected a time above 0, such as 2h, 90m or 1h30m"):
        seconds_of(text)


def test_in_words():
    told = [in_words(seconds) for seconds in (40, 89.6, 720, 5399, 12_600)]
    assert told == ["40 s", "90 s", "12 min", "90 min", "3.5 h"]
