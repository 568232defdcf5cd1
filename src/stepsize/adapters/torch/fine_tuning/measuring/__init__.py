"""Range tests of layer groups."""
