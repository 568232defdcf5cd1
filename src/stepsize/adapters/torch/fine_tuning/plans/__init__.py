"""Transfer plans carried out, phase by phase."""
