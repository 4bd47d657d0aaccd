"""The certificate authority: an offline-able root, an issuing intermediate, complete profiles."""
