"""The programs that ours is measured beside, each started with TLS on a free loopback port."""
