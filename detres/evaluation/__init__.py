"""Evaluation: what was found against what is there, as numbers and files. Knows neither models nor data sets."""
