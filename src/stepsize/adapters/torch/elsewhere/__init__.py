"""What workers carry out: each function is named by a ``Call``, wherever the worker is."""
