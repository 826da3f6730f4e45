"""Git, done safely: workspaces, the gate in front of a patch, and the one committer."""
