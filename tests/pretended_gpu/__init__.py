"""A CUDA device that is pretended, for machines without one: which operators mix devices, and what the host waits for.

device.py says how; scenarios.py what is run on it, and test_budgets.py how much of it there may be; plugin.py lets the
tests of tests/gpu run on it.
"""
