"""The ``landbridge`` command: one module per verb, each a thin layer over the control plane."""
