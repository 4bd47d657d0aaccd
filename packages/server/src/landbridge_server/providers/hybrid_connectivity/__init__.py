"""``Microsoft.HybridConnectivity``: how a machine is reached through the relay."""
