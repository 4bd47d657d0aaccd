from __future__ import annotations

import re
import subprocess

import pytest
from cryptography import x509

from landbridge_server.portal.trust_scripts import SCRIPTS, fingerprint
from landbridge_server.testing import ControlPlane


async def test_the_root_is_served_as_pem_and_der(cloud):
    root = cloud.plane.authority.root
    assert x509.load_pem_x509_certificate((await cloud.client.get("/ca.pem")).content) == root
    der = await cloud.client.get("/ca.cer")
    assert x509.load_der_x509_certificate(der.content) == root
    assert der.headers["content-type"] == "application/pkix-cert"


async def test_the_page_shows_the_fingerprint_and_asks_no_other_host(cloud):
    page = await cloud.client.get("/trust")
    assert fingerprint(cloud.plane.authority.root) in page.text
    assert "not run by us on Windows" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r'(src|href)="(?!/)', page.text)
    for link in re.findall(r'href="([^"]+)"', page.text):
        assert (await cloud.client.get(link)).status_code == 200


async def test_every_script_holds_certificate_and_fingerprint(cloud):
    for name in SCRIPTS:
        answer = await cloud.client.get(f"/trust/{name}")
        assert fingerprint(cloud.plane.authority.root) in answer.text
        assert "BEGIN CERTIFICATE" in answer.text
        assert f"landbridge-trust-{name}" in answer.headers["content-disposition"]
    assert (await cloud.client.get("/trust/other.sh")).status_code == 404


@pytest.mark.parametrize("name", ["linux.sh", "macos.sh"])
async def test_the_shell_scripts_parse(cloud, name):
    text = (await cloud.client.get(f"/trust/{name}")).text
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    program = text.partition("<<'LANDBRIDGE_END'\n")[2].partition("LANDBRIDGE_END")[0]
    compile(program, name, "exec")


@pytest.mark.parametrize(("provider", "needs"), [("aad", "True"), ("adfs", "False")])
async def test_the_scripts_change_the_setting_only_where_sign_in_needs_it(tmp_path, provider, needs):
    async with ControlPlane(tmp_path, identity_provider=provider) as cloud:
        assert f"NEEDS_SETTING = {needs}" in (await cloud.client.get("/trust/linux.sh")).text


async def test_operators_find_their_own_name_in_its_metadata(tmp_path):
    async with ControlPlane(tmp_path, domain="local.azurestack.external") as cloud:
        for word in ("management", "adminmanagement"):
            url = f"https://{word}.local.azurestack.external:9443"
            answer = await cloud.client.get(f"{url}//metadata/endpoints?api-version=2022-09-01")
            assert answer.json()["resourceManager"] == url + "/"
            legacy = await cloud.client.get(f"{url}/metadata/endpoints?api-version=2015-01-01")
            assert "galleryEndpoint" in legacy.json()


async def test_what_an_operator_may_do_is_a_role(tmp_path):
    async with ControlPlane(tmp_path, domain="local.azurestack.external") as cloud:
        admin = cloud.config.endpoints.admin_resource_manager
        group = f"{admin}{cloud.subscription}/resourceGroups/g"
        _, reader, secret = cloud.create_service_principal("reader", "Reader")
        token = await cloud.token(reader, secret, scope=f"{admin}/.default")
        body = {"location": "local"}
        assert (await cloud.arm("PUT", group, body, token=token)).status_code == 403
        assert (await cloud.arm("PUT", group, body)).status_code == 201
