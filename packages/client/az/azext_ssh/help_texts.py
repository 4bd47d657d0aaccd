"""What ``az ssh --help`` says."""

from __future__ import annotations

from knack.help_files import helps

helps["ssh"] = """
type: group
short-summary: SSH into connected machines through the relay of their cloud.
"""
helps["ssh arc"] = """
type: command
short-summary: SSH into a connected machine.
long-summary: No port of the machine is open to the network. ssh runs through the relay; it ends with
    ssh's exit code.
examples:
    - name: A shell as a local user
      text: az ssh arc --resource-group servers --name web1 --local-user admin
    - name: One command
      text: az ssh arc -g servers -n web1 --local-user admin -- uptime
    - name: Another port, another key
      text: az ssh arc -g servers -n web1 --local-user admin --port 2222 --private-key-file key
"""
helps["ssh vm"] = """
type: command
short-summary: SSH into a machine by its name, or directly by an address.
examples:
    - name: A shell as a local user
      text: az ssh vm --resource-group servers --vm-name web1 --local-user admin
    - name: Without the relay
      text: az ssh vm --ip 192.0.2.7 --local-user admin
"""
helps["ssh config"] = """
type: command
short-summary: Write an OpenSSH configuration for machines, for ssh, scp, sftp and rsync.
long-summary: The credentials of the relay are written beside it, readable by you alone. They last three
    hours; run the command again for new ones.
examples:
    - name: One machine
      text: az ssh config --resource-group servers --name web1 --local-user admin --file ./ssh_config
    - name: Then
      text: ssh -F ./ssh_config servers-web1-admin
"""
helps["ssh cert"] = """
type: command
short-summary: Not offered yet, because this cloud gives no certificates to directory users.
"""
