"""Trying a configuration."""
