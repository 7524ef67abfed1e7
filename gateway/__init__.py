"""Weir: an API gateway that says why."""

__version__ = "0.1.0"
