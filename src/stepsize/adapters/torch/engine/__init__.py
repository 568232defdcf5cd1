"""Which engine trains: asked for, or chosen by measuring a few updates."""
