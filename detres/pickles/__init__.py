"""Pickles read as plain values, by a machine of our own: nothing that a pickle names is imported or called.

A pickle is a program for a machine with a stack and a memory. Python's own machine runs it for whoever wrote it: it
calls what it is told to, hands numpy states that write out of bounds, and reserves what a few bytes ask for. Ours
(machine.py, operations.py) builds numbers, text, lists, dicts and sets; every name is left to a reader, who rebuilds a
few things from arguments that he checks, and leaves the rest inert (values.py). Two readers know more: array_pickle.py
rebuilds numpy's arrays, inert_pickle.py torch's tensors.
"""
