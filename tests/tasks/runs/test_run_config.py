"""A run's own config is read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.config.loading import SCHEMAS, dump_config
from detres.errors import ConfigError
from detres.tasks.runs.run_config import check_run_config, run_config


@pytest.mark.parametrize("task", SCHEMAS)
def test_what_a_run_writes_is_whole_and_any_lost_group_is_told(tmp_path: Path, task: str) -> None:
    text = dump_config(SCHEMAS[task]())
    (tmp_path / "config.yaml").write_text(text)
    assert run_config(tmp_path) == SCHEMAS[task]()
    (tmp_path / "config.yaml").write_text(text[: text.index("\nschedule:") + 1])
    with pytest.raises(ConfigError, match=r"config\.yaml: it has no schedule.*damaged; remove it"):
        check_run_config(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"task: [", b"\x00" * 40, b"\xff\xfe\x00", b"- a list"])
def test_what_is_no_config_is_told_with_the_mend(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged; remove it and say with --cfg"):
        run_config(tmp_path)


def test_a_run_without_one_has_none(tmp_path: Path) -> None:
    assert run_config(tmp_path) is None
