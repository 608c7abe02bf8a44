import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from detres.stop_signals import stop_signals
from detres.training.interrupts import AskedToStop, Interrupts


@pytest.mark.parametrize("number", stop_signals())
def test_a_signal_leaves_a_note_and_the_handler_before_comes_back(number):
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert not interrupts.agreed()
        os.kill(os.getpid(), number)
        assert interrupts.agreed()
        assert interrupts.signal_name == signal.Signals(number).name
    assert signal.getsignal(number) == before


def test_a_ctrl_c_that_torchrun_passes_on_is_still_the_first():
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.agreed()


def test_where_nothing_has_to_be_finished_a_signal_breaks_off_and_an_earlier_one_does_not_begin():
    reached = []

    def evaluate(interrupts):
        with interrupts.at_once():
            reached.append("begun")
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("went on")

    with Interrupts() as interrupts:
        for _ in range(2):
            with pytest.raises(AskedToStop):
                evaluate(interrupts)
        os.kill(os.getpid(), signal.SIGTERM)  # Outside, it is noted as ever.
    assert reached == ["begun"]


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_process_at_once():
    program = """
import os, signal
from detres.training.interrupts import Interrupts
with Interrupts() as interrupts:
    os.kill(os.getpid(), signal.SIGINT)
    interrupts._noted_at -= 2
    os.kill(os.getpid(), signal.SIGINT)
    print("still here")
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGINT, "")


def test_a_run_in_another_thread_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run():
        with Interrupts() as interrupts:
            seen.append((signal.getsignal(signal.SIGTERM), interrupts.agreed()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
