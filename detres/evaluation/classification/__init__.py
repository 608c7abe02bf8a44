"""Errors of classifiers."""
