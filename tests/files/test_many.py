"""Reading many items: in order, whichever way they are read, and by threads only where reading waits."""

from __future__ import annotations

import threading
import time

import pytest

from detres.files.many import read_all


def test_items_come_back_in_order_whether_reading_waits_or_not():
    assert read_all(str, []) == []
    assert read_all(str, range(10_000)) == [str(number) for number in range(10_000)]

    def waits_at_times(number: int) -> int:
        if number % 64 == 0:
            time.sleep(0.001)
        return -number

    assert read_all(waits_at_times, range(10_000)) == [-number for number in range(10_000)]


@pytest.mark.slow
def test_reading_that_waits_is_shared_by_threads_and_other_reading_is_not():
    threads: set[int] = set()

    def read(number: int, seconds: float) -> None:
        time.sleep(seconds)
        threads.add(threading.get_ident())

    read_all(lambda number: read(number, 0.001), range(2000))
    assert len(threads) > 2
    threads.clear()
    read_all(lambda number: threads.add(threading.get_ident()) or sum(range(1000)), range(64))
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("at", [3, 700])
def test_an_error_is_the_callers(at: int):
    def read(number: int) -> int:
        time.sleep(0.0001)
        if number == at:
            raise ValueError(f"item {number}")
        return number

    with pytest.raises(ValueError, match=f"item {at}"):
        read_all(read, range(1000))
