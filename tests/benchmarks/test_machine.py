"""What a figure is a share of."""

import torch
from torch import nn

from detres.benchmarks.machine import count_operations, measure_machine

CPU = torch.device("cpu")


def test_rates_are_measured_in_both_precisions() -> None:
    machine = measure_machine(CPU, compile=False, side=64)
    assert set(machine.rates) == {"float32", "bf16"}
    assert all(rate > 1e6 for rate in machine.rates.values())
    assert machine.threads == torch.get_num_threads()


def test_operations_of_a_convolution_are_counted_forward_and_backward() -> None:
    conv, image = nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.rand(1, 3, 10, 10, requires_grad=True)
    forward = 2 * 10 * 10 * 8 * 3 * 9
    assert count_operations(lambda: conv(image)) == forward
    assert count_operations(lambda: conv(image).sum().backward()) == 3 * forward
