"""Rules of HTTP as plain functions on plain values: no I/O, no event loop, none of our other packages."""
