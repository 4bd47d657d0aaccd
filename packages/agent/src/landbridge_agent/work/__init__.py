"""What this machine does for its cloud: the resident program ``extd``, its journal and its workers."""
