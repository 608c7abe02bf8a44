"""Configs: what a recipe may say, read, checked and explained."""
