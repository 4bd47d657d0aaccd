"""``himdsd``: the machine's one resident process; standard library and wire only."""
