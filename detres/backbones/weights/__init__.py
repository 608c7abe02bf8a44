"""Weights of backbones: what files hold, what they say, where published ones are, how they are loaded."""
