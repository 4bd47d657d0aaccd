"""``Microsoft.GuestConfiguration``: what a machine's settings are to be, and how it says they are."""
