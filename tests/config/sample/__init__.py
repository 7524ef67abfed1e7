"""Filters that exist for the tests of the configuration only: their options cover every kind of option."""
