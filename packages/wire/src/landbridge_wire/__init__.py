"""What two Landbridge processes must agree on.

Standard library only, no input or output, no clock: bytes and messages in, events and
bytes out, ``now`` as an argument. Code enters here when two distributions need it.
"""
