"""The SSH proxy: ``tools/build_sshproxy.py`` makes one executable file of this package."""
