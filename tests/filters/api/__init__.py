"""The filter `api`."""
