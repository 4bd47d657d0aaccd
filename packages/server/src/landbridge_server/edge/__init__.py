"""The rim of the control plane: listeners, the table of routes, the gate, error answers."""
