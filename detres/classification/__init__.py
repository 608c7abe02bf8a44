"""Classifiers, their losses, tests and files."""
