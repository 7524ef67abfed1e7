"""A gateway among failing upstreams for a long time: memory, file descriptors and counts."""
