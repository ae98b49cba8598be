"""The version, in one place: the build reads it here, and asking the installed metadata for it would cost 50 ms."""

__version__ = "0.1.0"
