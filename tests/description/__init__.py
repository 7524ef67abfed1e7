"""Descriptions of APIs."""
