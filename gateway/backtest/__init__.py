"""Judges recorded exchanges again, by another configuration or by the same."""
