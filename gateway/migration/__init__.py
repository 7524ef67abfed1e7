"""Moves the installation of another gateway here: what it says, in this one's configuration, and what could not be said."""
