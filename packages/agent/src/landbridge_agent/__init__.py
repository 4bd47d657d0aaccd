"""The machine agent: ``azcmagent`` is the command line, ``himdsd`` the daemon."""
