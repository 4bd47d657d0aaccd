"""``Microsoft.HybridCompute``: the connected machines."""
