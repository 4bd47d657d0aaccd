from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from landbridge_server.arm import roles
from landbridge_server.ca.keyring import open_secret
from landbridge_server.cli.main import main
from landbridge_server.identity import directory, second_factor
from landbridge_server.identity.bootstrap import first_start
from landbridge_server.store import principals, role_assignments, subscriptions
from landbridge_server.store.database import Database
from landbridge_server.store.subscriptions import Subscription


@pytest.fixture
def data(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'landbridge.db'}")
    db.migrate()
    with db.writing() as connection:
        start = first_start(connection, 1000.0, "cloud.example")
        subscriptions.add(
            connection, Subscription(start.subscription_id, start.tenant_id, "First", "Enabled", 1000.0)
        )
    db.close()
    return tmp_path


@pytest.fixture
def run(data, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--data", str(data)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def rows(output: str) -> list[dict[str, str]]:
    found = json.loads(output)
    return found if isinstance(found, list) else [found]


def read(data, work):
    db = Database(f"sqlite:///{data / 'landbridge.db'}")
    try:
        return db.read(work)
    finally:
        db.close()


def test_a_service_principal_is_created_with_a_role_and_its_secret_is_printed_once(run, data):
    code, out, _ = run(
        "sp", "create", "--name", "onboarding", "--role", "azure connected machine onboarding", "-o", "json"
    )
    made = rows(out)[0]
    held = read(data, lambda connection: role_assignments.held(connection, made["objectId"]))
    assert code == 0
    assert len(made["clientSecret"]) >= 32
    assert held[0].role_definition == roles.named("Azure Connected Machine Onboarding").guid
    assert held[0].scope_key.startswith("/subscriptions/")
    assert made["clientSecret"] not in run("sp", "list")[1]


def test_an_unknown_role_is_refused_with_the_known_ones_and_nothing_is_made(run):
    code, _, err = run("sp", "create", "--name", "x", "--role", "Emperor")
    assert code == 1
    assert "Emperor" in err
    assert "Reader" in err
    assert "Traceback" not in err
    assert all(row["displayName"] != "x" for row in rows(run("sp", "list", "-o", "json")[1]))


def test_resetting_replaces_the_secret(run, data):
    first = rows(run("sp", "create", "--name", "ci", "-o", "json")[1])[0]
    second = rows(run("sp", "reset", "ci", "-o", "json")[1])[0]
    assert second["clientId"] == first["clientId"]
    assert second["clientSecret"] != first["clientSecret"]
    kept = read(data, lambda c: principals.credentials_of(c, first["objectId"], principals.SECRET))
    assert len(kept) == 1


def test_deleting_takes_the_roles_along(run, data):
    made = rows(run("sp", "create", "--name", "gone", "--role", "Reader", "-o", "json")[1])[0]
    assert run("sp", "delete", "gone")[0] == 0
    assert read(data, lambda c: principals.get(c, made["objectId"])) is None
    assert read(data, lambda c: role_assignments.held(c, made["objectId"])) == []


def test_deleting_what_is_not_there_says_so(run):
    code, _, err = run("sp", "delete", "nobody")
    assert code == 1
    assert "nobody" in err


def test_a_user_is_created_with_a_password_from_a_file(run, data, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("a long enough password\n")
    code, out, _ = run("user", "create", "anna@cloud.example", "--password-file", str(secret))
    users = read(data, directory.list_users)
    assert code == 0
    assert "anna@cloud.example" in [user.user_name for user in users]
    assert "a long enough password" not in out


def test_a_generated_password_is_printed(run):
    made = rows(run("user", "reset-password", "admin@cloud.example", "--generate-password", "-o", "json")[1])[
        0
    ]
    assert len(made["password"]) >= 16


@pytest.mark.parametrize("name", ["anna", "anna@other.example", "an na@cloud.example"])
def test_a_user_name_that_cannot_be_is_refused(run, name):
    code, _, err = run("user", "create", name, "--generate-password")
    assert code == 1
    assert name in err


def test_a_password_is_never_taken_from_the_arguments(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("user", "create", "anna@cloud.example", "--password", "secret")
    assert stopped.value.code == 2


def test_a_tenant_is_created_once(run):
    assert run("tenant", "create", "Fabrikam.example")[0] == 0
    code, _, err = run("tenant", "create", "fabrikam.EXAMPLE")
    assert code == 1
    assert "already" in err


@pytest.mark.parametrize("domain", ["common", "adfs", "graph", "organizations", "no spaces", "x-.example"])
def test_words_of_the_token_service_cannot_name_tenants(run, domain):
    code, _, err = run("tenant", "create", domain)
    assert code == 1
    assert domain in err


def test_a_subscription_belongs_to_the_tenant_that_is_named(run):
    tenant = rows(run("tenant", "create", "fabrikam.example", "-o", "json")[1])[0]
    made = rows(run("subscription", "create", "Prod", "--tenant", "fabrikam.example", "-o", "json")[1])[0]
    assert made["tenantId"] == tenant["tenantId"]
    assert [row["displayName"] for row in rows(run("subscription", "list", "-o", "json")[1])] == [
        "First",
        "Prod",
    ]


def test_a_folder_without_a_control_plane_is_refused_with_what_to_do(tmp_path, capsys):
    assert main(["sp", "list", "--data", str(tmp_path / "empty")]) == 1
    assert "landbridge up" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["up", "ca", "sp", "user", "tenant", "subscription", "ssh-config"])
def test_every_verb_explains_itself_with_examples(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"landbridge {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "scope", ["nonsense", "/subscriptions", "/subscriptions/00000000-0000-4000-8000-000000000000"]
)
def test_a_role_is_not_given_at_a_scope_that_cannot_be(run, data, scope):
    before = len(read(data, principals_of_the_cloud))
    code, _, error = run("sp", "create", "--name", "lost", "--role", "Reader", "--scope", scope)
    assert code == 1
    assert "subscription" in error
    assert len(read(data, principals_of_the_cloud)) == before


def principals_of_the_cloud(connection):
    return directory.list_service_principals(connection)


def test_a_password_file_that_is_not_text_is_refused_in_one_line(run, data):
    (data / "binary").write_bytes(b"\xff\xfe\x00")
    code, _, error = run("user", "create", "a@cloud.example", "--password-file", str(data / "binary"))
    assert (code, error.count("\n")) == (1, 1)


def test_an_empty_data_folder_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["sp", "list", "--data", ""])
    assert "--data" in capsys.readouterr().err


def test_the_help_of_an_action_shows_its_own_examples(capsys):
    with pytest.raises(SystemExit):
        main(["sp", "reset", "--help"])
    out = capsys.readouterr().out
    assert "landbridge sp reset onboarding" in out
    assert "landbridge sp create" not in out


def test_a_certificate_is_added_listed_and_removed(run, tmp_path):
    run("sp", "create", "--name", "deploy")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deploy")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=9))
    path = tmp_path / "deploy.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    code, out, err = run("sp", "add-certificate", "deploy", "--certificate", str(path), "-o", "json")
    assert code == 0, err
    made = rows(out)[0]
    assert len(made["thumbprint"]) == 40
    assert rows(run("sp", "list-certificates", "deploy", "-o", "json")[1]) == [made]
    assert run("sp", "add-certificate", "deploy", "--certificate", str(path))[0] == 1
    assert run("sp", "remove-certificate", "deploy", "--thumbprint", made["thumbprint"].lower())[0] == 0
    assert rows(run("sp", "list-certificates", "deploy", "-o", "json")[1]) == []
    for wrong in (tmp_path / "nothing", tmp_path / "landbridge.db"):
        assert run("sp", "add-certificate", "deploy", "--certificate", str(wrong))[0] == 1


def test_a_second_factor_is_enrolled_with_the_keys_of_the_cloud_and_removed(run, data):
    words = ("user", "mfa-enroll", "admin@cloud.example", "-o", "json")
    code, _, err = run(*words)
    assert (code, "relay.key" in err) == (1, True)
    (data / "keys").mkdir()
    open_secret(data / "keys" / "relay.key")
    code, out, err = run(*words)
    assert code == 0, err
    made = json.loads(out)
    assert made["uri"].startswith("otpauth://totp/Landbridge:admin%40cloud.example?secret=")
    assert len(made["recoveryCodes"].split()) == second_factor.RECOVERY_CODES
    user = read(data, lambda c: principals.by_user_name(c, "admin@cloud.example"))
    assert read(data, lambda c: second_factor.needed(c, user)) == second_factor.CODE
    assert run("user", "mfa-remove", "admin@cloud.example")[0] == 0
    assert read(data, lambda c: second_factor.needed(c, user)) == second_factor.NOTHING
    assert run("user", "mfa-enroll", "nobody@cloud.example")[0] == 1


def test_a_tenant_demands_a_second_factor_until_it_does_not(run, data):
    user = read(data, lambda c: principals.by_user_name(c, "admin@cloud.example"))
    assert run("tenant", "require-mfa", "Cloud.example")[0] == 0
    assert read(data, lambda c: second_factor.needed(c, user)) == second_factor.ENROLL
    assert run("tenant", "require-mfa", user.tenant_id, "--off")[0] == 0
    assert read(data, lambda c: second_factor.needed(c, user)) == second_factor.NOTHING
    assert run("tenant", "require-mfa", "nowhere.example")[0] == 1


def test_a_user_becomes_a_guest_of_another_tenant_and_no_longer(run, data):
    tenant = rows(run("tenant", "create", "fabrikam.example", "-o", "json")[1])[0]["tenantId"]
    run("user", "create", "anna@cloud.example", "--generate-password")
    code, out, _ = run("tenant", "add-guest", "fabrikam.example", "anna@cloud.example", "-o", "json")
    assert (code, rows(out)[0]["tenantId"], rows(out)[0]["is"]) == (0, tenant, "guest")
    code, out, _ = run("tenant", "remove-guest", tenant, "anna@cloud.example", "-o", "json")
    assert (code, rows(out)[0]["is"]) == (0, "no guest")
    code, _, err = run("tenant", "remove-guest", tenant, "anna@cloud.example")
    assert (code, "is no guest" in err) == (1, True)
