"""What a configuration would do with a request: the real data plane, with memory in place of sockets."""
