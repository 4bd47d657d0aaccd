"""What a machine reports about itself: one module per source, ``parse(text)`` and ``read()``."""
