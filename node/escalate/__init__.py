"""How a word reaches the owner when it must: the separate program, the daemon's pager, the deputy, the silent root."""
