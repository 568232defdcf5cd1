"""The layers of a model in groups, by depth, and the groups of its optimizer."""
