"""Guest configuration: what the cloud wants of this machine's settings, audited and applied here."""
