"""The few pages for people: the next steps, and the root certificate to compare."""
