"""What is special about each resource type; ``composition`` is the one registry of them all."""
