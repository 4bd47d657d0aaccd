"""Tasks that make intent true: idempotent, without arguments, woken by a signal and by a clock."""
