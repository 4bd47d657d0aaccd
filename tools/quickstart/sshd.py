"""A real OpenSSH sshd on loopback: the machine's own where one lets us in, else one of ours."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from quickstart.places import Places, Settings, write_private
from quickstart.ports import LOOPBACK, find_free
from quickstart.programs import Child, Children, Failed, run, wait_until

SYSTEM_PORT = 22
PROBE_SECONDS = 10.0

CONFIGURATION = """\
# Made by ./quickstart: an sshd for the relay only, which nobody reaches from outside.
Port {port}
ListenAddress 127.0.0.1
HostKey "{folder}/host_key"
PidFile none
AuthorizedKeysFile "{folder}/authorized_keys"
# The folder is ours alone; what lies above it is not for sshd to judge.
StrictModes no
AllowUsers {user}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {use_pam}
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
"""


def user_name() -> str:
    """Return who we are, whatever the environment says."""
    return pwd.getpwuid(os.getuid()).pw_name


def system_sshd_lets_us_in(places: Places, environment: Mapping[str, str]) -> bool:
    """Whether the machine's own sshd listens on loopback and takes a key that we have."""
    try:
        with socket.create_connection((LOOPBACK, SYSTEM_PORT), timeout=2):
            pass
    except OSError:
        return False
    known_hosts = places.sshd / "probe_known_hosts"
    known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv: list[str | Path] = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    # Loopback cannot be somebody else; the login over the relay pins the reported host keys.
    argv += ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known_hosts}"]
    try:
        run([*argv, "-p", str(SYSTEM_PORT), f"{user_name()}@{LOOPBACK}", "true"], environment, PROBE_SECONDS)
    except Failed:
        return False
    return True


def ensure_sshd(
    places: Places, settings: Settings, children: Children, environment: Mapping[str, str]
) -> None:
    """Make sure that an sshd takes logins on loopback; the settings then say where.

    Raises:
        Failed: our own sshd does not start.
    """
    if not settings.own_sshd and system_sshd_lets_us_in(places, environment):
        settings.ssh_port = SYSTEM_PORT
        return
    settings.own_sshd = True
    settings.ssh_port = find_free(settings.ssh_port if settings.ssh_port != SYSTEM_PORT else 0)
    _make_keys(places, environment)
    write_private(
        places.sshd / "sshd_config",
        CONFIGURATION.format(
            port=settings.ssh_port,
            folder=places.sshd,
            user=user_name(),
            use_pam="yes" if _password_is_locked() else "no",
        ),
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks its unprivileged half in
    argv: list[str | Path] = [_program(), "-D", "-e", "-f", places.sshd / "sshd_config"]
    child = children.start("sshd", argv, places.log("sshd"), environment)
    wait_until("sshd to listen", lambda: _listening(settings.ssh_port, child), children, PROBE_SECONDS)


def _listening(port: int, child: Child) -> bool | None:
    """Return True once the port takes connections and it is our sshd that took it."""
    child.check()
    return True if f"Server listening on {LOOPBACK} port {port}" in child.said() else None


def _make_keys(places: Places, environment: Mapping[str, str]) -> None:
    places.sshd.mkdir(parents=True, exist_ok=True, mode=0o700)
    host_key = places.sshd / "host_key"
    for key, comment in (
        (host_key, "landbridge quickstart"),
        (places.login_key, "landbridge quickstart login"),
    ):
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", key], environment)
    public = places.login_key.with_name(places.login_key.name + ".pub")
    write_private(places.sshd / "authorized_keys", public.read_text())


def _program() -> str:
    """Return sshd's absolute path, which it insists on."""
    found = shutil.which("sshd", path=os.pathsep.join([os.defpath, "/usr/sbin", "/usr/local/sbin", "/sbin"]))
    if not found:
        raise Failed("sshd is not installed: apt-get install openssh-server")
    return found


def _password_is_locked() -> bool:
    """Whether sshd would refuse us for a locked password unless PAM decides.

    Only root can know; for an ordinary user sshd itself cannot tell either.
    """
    if os.getuid() != 0:
        return False
    try:
        entries = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user_name()}:!") for line in entries)
