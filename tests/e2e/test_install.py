"""``curl ... | sh`` on a bare Debian, then what the document says: connect, service, disconnect, remove."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import bare_debian
from quickstart.programs import Children, wait_until
from running import GROUP, ControlPlane

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(bare_debian.unavailable()), reason=bare_debian.unavailable()),
]


@pytest.fixture(scope="module")
def debian(cloud: ControlPlane) -> Iterator[bare_debian.BareDebian]:
    """A Debian that trusts the cloud's root certificate in one file and knows nothing else of it."""
    system = bare_debian.BareDebian()
    try:
        system.write("/srv/root.pem", cloud.admin.ca_file.read_text())
        # As on a bare one: apt-get has to bring what the agent needs.
        system.sh("apt-get remove -y python3-cryptography python3-yaml")
        yield system
    finally:
        system.stop()


TOKEN = """
. /etc/profile.d/azcmagent.sh
url="$IDENTITY_ENDPOINT?api-version=2020-06-01&resource=$1"
key=$(curl -si -H Metadata:true "$url" | grep Www-Authenticate | cut -d = -f 2 | tr -d '[:cntrl:]')
stat -c "%U %G %a" "$key"
text=$(cat "$key") && curl -s -H Metadata:true -H "Authorization: Basic $text" "$url"
"""


def install(debian: bare_debian.BareDebian, cloud: ControlPlane, *options: str):
    url = f"{cloud.admin.url}/install_linux_azcmagent.sh"
    return debian.sh(f"curl -fsS --cacert /srv/root.pem {url} | sh -s -- {' '.join(options)}")


@pytest.fixture(scope="module")
def installed(debian, cloud):
    done = install(debian, cloud)
    assert done.returncode == 0, done.stdout
    assert "azcmagent version" in done.stdout
    return debian


def connect(installed, cloud, name: str):
    admin = cloud.admin
    secret = {"service-principal-secret": admin.client_secret}
    installed.write("/srv/secret.json", json.dumps(secret))
    return installed.run(
        *("azcmagent", "connect", "--config", "/srv/secret.json", "--service-principal-id", admin.client_id),
        *("--tenant-id", admin.tenant, "--subscription-id", admin.subscription),
        *("--resource-group", GROUP, "--location", "local", "--resource-name", name),
    )


def status(installed) -> str:
    return json.loads(installed.run("azcmagent", "show", "--json").stdout)["status"]


def test_the_machine_connects_as_the_document_says(installed, cloud):
    done = connect(installed, cloud, "bare1")
    assert done.returncode == 0, done.stdout
    assert "service himds start" in done.stdout  # there is no systemd, and policy-rc.d forbids starts
    assert installed.run("service", "himds", "restart").returncode == 0
    wait_until("the daemon", lambda: status(installed) == "Connected" or None, Children(), 30)
    assert cloud.machine("bare1").body["properties"]["status"] == "Connected"


def test_the_daemon_is_nobody_but_himds(installed):
    found = installed.sh("stat -c '%U %G %a' /var/opt/azcmagent/certs/identity.pem; ps -eo user=,args=")
    lines = found.stdout.splitlines()
    assert lines[0] == "himds himds 600"
    assert [line.split()[0] for line in lines[1:] if line.endswith("bin/himdsd")] == ["himds"]


def test_root_writes_what_the_daemon_reads(installed):
    done = installed.run("azcmagent", "config", "set", "incomingconnections.ports", "22")
    assert done.returncode == 0, done.stdout
    owner = installed.sh("stat -c %U /var/opt/azcmagent/localconfig.json").stdout.strip()
    assert owner == "himds"
    assert installed.run("azcmagent", "check").returncode == 0


def test_the_groups_members_get_the_machines_tokens_and_others_do_not(installed, cloud):
    """As the document of managed identities has it, with a daemon that is not root."""
    who = "setpriv --reuid nobody --regid nogroup"
    installed.write("/srv/token.sh", TOKEN)
    installed.sh("chmod 755 /srv/token.sh")
    member = installed.sh(f"{who} --groups himds -- sh /srv/token.sh {cloud.admin.url}").stdout
    assert member.startswith("himds himds 440\n") and '"access_token":"ey' in member
    other = installed.sh(f"{who} --clear-groups -- sh /srv/token.sh {cloud.admin.url}").stdout
    assert "Permission denied" in other and "access_token" not in other
    log = installed.run("cat", "/var/opt/azcmagent/log/himds.log").stdout
    assert f"Token for '{cloud.admin.url}' given to" in log and "of user 65534" in log


def test_the_service_command_restarts_and_tells(installed):
    before = installed.sh("cat /run/himdsd.pid").stdout
    assert installed.run("service", "himds", "restart").returncode == 0
    assert installed.sh("cat /run/himdsd.pid").stdout != before
    assert "is running" in installed.run("service", "himds", "status").stdout
    wait_until("the daemon", lambda: status(installed) == "Connected" or None, Children(), 30)


def in_the_cloud(cloud, method: str, name: str, body: object = None):
    machine = f"{cloud.subscription}/resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/bare1"
    return cloud.arm(method, f"{machine}/runCommands/{name}", body, "2024-07-10")


def ran(cloud, name: str, script: str, **properties: object) -> dict[str, object]:
    """Have the machine run a script; return how that went."""
    body = {"location": "local", "properties": {"source": {"script": script}, **properties}}
    assert in_the_cloud(cloud, "PUT", name, body).status in (200, 201)

    def over() -> dict[str, object] | None:
        view = in_the_cloud(cloud, "GET", name).body["properties"]["instanceView"]
        return view if view["executionState"] not in ("Pending", "Running") else None

    return wait_until(f"the end of {name}", over, Children(), 60)


def test_root_carries_out_what_the_cloud_asks_for(installed, cloud):
    assert installed.run("service", "extd", "restart").returncode == 0
    assert "is running" in installed.run("service", "extd", "status").stdout

    def active() -> bool | None:
        shown = json.loads(installed.run("azcmagent", "show", "--json").stdout)
        return shown["extdStatus"] == "active" or None

    wait_until("extd", active, Children(), 30)
    view = ran(cloud, "who", "id -un; umask; pwd")
    folder = "/var/lib/waagent/run-command-handler/download/who"
    assert view["output"].startswith(f"root\n0022\n{folder}/"), view
    assert ran(cloud, "other", "id -un; ls /root", runAsUser="nobody")["output"] == "nobody\n"
    modes = installed.sh(
        f"stat -c '%U %a' {folder} /var/lib/GuestConfig/extd /var/lib/GuestConfig/ext_mgr_logs/*"
    )
    assert modes.stdout == "root 700\nroot 700\nroot 600\n"


def test_a_restart_of_its_service_ends_no_script(installed, cloud):
    body = {
        "location": "local",
        "properties": {"source": {"script": "echo begun >> /srv/ran; sleep 4; echo end"}},
    }
    assert in_the_cloud(cloud, "PUT", "through", body).status == 201
    wait_until("the script", lambda: installed.sh("cat /srv/ran").returncode == 0 or None, Children(), 30)
    assert installed.run("service", "extd", "restart").returncode == 0

    def over() -> str | None:
        view = in_the_cloud(cloud, "GET", "through").body["properties"]["instanceView"]
        return view["output"] if view["executionState"] == "Succeeded" else None

    assert wait_until("its end", over, Children(), 60) == "end\n"
    assert installed.sh("cat /srv/ran").stdout == "begun\n"


def test_root_installs_extensions_with_what_the_distribution_has(installed, cloud):
    """Debian 12's cryptography is 38: protected settings are sealed and opened with it."""
    machine = f"{cloud.subscription}/resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/bare1"
    path = f"{machine}/extensions/setup"
    command = "id -un; stat -c '%U %a' /var/lib/waagent/*.prv; : hunter2"
    properties = {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "protectedSettings": {"commandToExecute": command},
    }
    body = {"location": "local", "properties": properties}
    assert cloud.arm("PUT", path, body, "2024-07-10").status in (200, 201, 202)

    def over() -> dict[str, object] | None:
        found = cloud.arm("GET", path, None, "2024-07-10").body["properties"]
        return found if found["provisioningState"] in ("Succeeded", "Failed") else None

    done = wait_until("the extension", over, Children(), 60)
    message = done["instanceView"]["status"]["message"]
    assert message == "Extension Message: Enable succeeded: \n[stdout]\nroot\nroot 600\n\n[stderr]\n"
    listed = installed.run("azcmagent", "extension", "list").stdout
    assert listed.splitlines()[1].split()[2:] == ["2.1.13", "setup", "Succeeded"]
    found = installed.sh("grep -rl hunter2 /var/lib/waagent /var/lib/GuestConfig /var/opt/azcmagent")
    assert found.stdout == ""
    assert installed.run("azcmagent", "extension", "remove", "--all").stdout.startswith("Removed setup: ")


def test_installing_again_keeps_the_machine_connected(installed, cloud):
    done = install(installed, cloud, "--desiredversion", "1.61")
    assert done.returncode == 0, done.stdout
    assert json.loads(installed.run("azcmagent", "show", "--json").stdout)["resourceName"] == "bare1"


def test_a_version_that_is_not_there_changes_nothing(installed, cloud):
    done = install(installed, cloud, "--desiredversion", "9.9")
    assert done.returncode == 147 and "AZCM0147" in done.stdout


def test_who_is_not_root_is_told(installed, cloud):
    url = f"{cloud.admin.url}/install_linux_azcmagent.sh"
    script = f"curl -fsS --cacert /srv/root.pem {url}"
    installed.sh("chmod 0644 /srv/root.pem")
    done = installed.sh(f"{script} > /srv/i.sh; setpriv --reuid 65534 sh /srv/i.sh")
    assert done.returncode == 18 and "root" in done.stdout


def test_an_unknown_option_is_refused(installed, cloud):
    assert install(installed, cloud, "--frobnicate").returncode == 2


def test_after_disconnect_and_removal_only_logs_and_folders_stay(installed, cloud):
    admin = cloud.admin
    done = installed.run(
        *(
            "azcmagent",
            "disconnect",
            "--config",
            "/srv/secret.json",
            "-i",
            admin.client_id,
            "-t",
            admin.tenant,
        )
    )
    assert done.returncode == 0, done.stdout
    assert cloud.machine("bare1").status == 404
    removed = installed.sh("DEBIAN_FRONTEND=noninteractive apt-get remove -y azcmagent")
    assert removed.returncode == 0, removed.stdout
    assert installed.sh("ls /opt/azcmagent /usr/bin/azcmagent").returncode != 0
    assert "himds.log" in installed.sh("ls /var/opt/azcmagent/log").stdout
    assert installed.sh('ps -eo args= | grep -e "[h]imdsd" -e "[b]in/extd"').stdout == ""
    purged = installed.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y azcmagent")
    assert purged.returncode == 0, purged.stdout
    assert (
        installed.sh("ls -d /var/opt/azcmagent /etc/opt/azcmagent /var/lib/GuestConfig").stdout.count(
            "cannot access"
        )
        == 3
    )


def test_one_pasted_line_installs_and_connects(debian, cloud):
    made = json.loads(cloud.landbridge("join-code", "create", "--resource-group", GROUP, "-o", "json"))
    done = debian.run("sh", "-s", stdin=made["paste"] + "\n")
    assert done.returncode == 0, done.stdout
    assert "Connected machine to Azure" in done.stdout
    resource = json.loads(debian.run("azcmagent", "show", "--json").stdout)["resourceName"]
    assert cloud.machine(resource).status == 200
