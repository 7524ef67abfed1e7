"""Back-tests."""
