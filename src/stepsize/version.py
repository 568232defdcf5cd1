"""The version, in one place: the build, ``stepsize --version`` and the reports read it here."""

__version__ = "0.1.0"
