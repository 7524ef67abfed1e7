"""One process that owns the sockets and looks after the workers, which carry the exchanges."""
