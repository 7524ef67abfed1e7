"""Targets that are fed any bytes at all, and what must hold of each whatever the bytes are."""
