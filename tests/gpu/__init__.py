"""What is to hold on a CUDA device: `pytest -m gpu tests/gpu`, under two minutes on a large card.

The same tests run on a pretended device where there is none (tests/pretended_gpu/test_gpu_tests.py), so that they are
never wrong themselves when they meet a card. Each takes `device` (conftest.py), and `waits_at_most` where it is of a
loop's step.
"""
