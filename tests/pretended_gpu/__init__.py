"""A CUDA device that is pretended, for machines without one: which operators mix devices, and what the host waits for.

device.py says how; scenarios.py what is run on it; test_budgets.py how much of it there may be.
"""
