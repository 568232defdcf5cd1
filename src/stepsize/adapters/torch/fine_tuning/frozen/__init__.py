"""Layers that rest, and training on what they put out."""
