from __future__ import annotations

import base64

import pytest

from landbridge_server.identity import second_factor
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.store import principals


async def test_a_second_factor_is_asked_for_after_the_password(cloud, browser):
    found = browser.enroll()
    page = await browser.send(await browser.open(), **browser.user)
    assert page.status_code == 200
    assert browser.form(page).fields["otp"] == ""
    wrong = await browser.send(page, otp="000000")
    assert wrong.status_code == 400
    assert "This code is wrong" in wrong.text
    answer = await browser.send(wrong, otp=browser.otp(found))
    assert answer.status_code == 303
    again = await browser.send(page, otp=browser.otp(found))
    assert "was used before" in again.text


async def test_the_voucher_is_bound_to_browser_request_and_time(cloud, browser):
    found = browser.enroll()
    page = await browser.send(await browser.open(), **browser.user)
    voucher = browser.form(page).fields["voucher"]
    other = await browser.open(redirect_uri="http://localhost:1")
    assert (await browser.send(other, voucher=voucher, otp=browser.otp(found))).status_code == 400
    forged = await browser.send(page, voucher=voucher[:-1] + "0x", otp=browser.otp(found))
    assert forged.status_code == 400
    cloud.clock.advance(300)
    late = await browser.send(page, otp=browser.otp(found))
    assert (late.status_code, "location" in late.headers) == (400, False)


async def test_a_password_alone_is_refused_in_words_that_az_prints(cloud, browser, refused):
    browser.enroll()
    body = refused(await cloud.token(cloud.password_form()), 50076, "interaction_required")
    assert "az login --use-device-code" in body["error_description"]


async def test_the_device_page_asks_for_the_code_too(cloud, browser):
    found = browser.enroll()
    code = await cloud.begin_device()
    page = await cloud.approve(code)
    assert 'name="otp"' in page.text
    assert (await cloud.poll(code)).status_code == 400
    wrong = await cloud.submit(page, otp="000000")
    assert wrong.status_code == 400
    cloud.clock.advance(10)
    done = await cloud.submit(wrong, otp=browser.otp(found))
    assert "You are signed in" in done.text
    assert (await cloud.poll(code)).status_code == 200


async def test_a_recovery_code_counts_once(cloud, browser):
    found = browser.enroll()
    code = found.recovery_codes[0].upper()
    page = await browser.send(await browser.open(), **browser.user)
    assert (await browser.send(page, otp=code)).status_code == 303
    assert (await browser.send(page, otp=code)).status_code == 400
    assert (await browser.send(page, otp=found.recovery_codes[1])).status_code == 303


async def test_wrong_codes_are_bounded(cloud, browser):
    found = browser.enroll()
    page = await browser.send(await browser.open(), **browser.user)
    for _ in range(second_factor.WRONG_CODES):
        assert (await browser.send(page, otp="1")).status_code == 400
    assert (await browser.send(page, otp=browser.otp(found))).status_code == 429


async def test_enrolling_signs_out_and_a_tenant_can_demand_it(cloud, browser, refused):
    before = (await cloud.token(cloud.password_form())).json()["refresh_token"]
    with cloud.db.writing() as connection:
        second_factor.require(connection, cloud.tenant, True, cloud.clock())
    refused(await cloud.token(cloud.refresh_form(before)), 50173, "invalid_grant")
    refused(await cloud.token(cloud.password_form()), 50079, "interaction_required")
    page = await browser.send(await browser.open(), **browser.user)
    assert "needs a second factor" in page.text
    found = browser.enroll()
    page = await browser.send(await browser.open(), **browser.user)
    answer = await browser.send(page, otp=browser.otp(found))
    assert answer.status_code == 303
    with cloud.db.writing() as connection:
        second_factor.require(connection, cloud.tenant, False, cloud.clock())
    eve = cloud.password_form(username="eve@other.example", password="eves-password")
    where = "/other.example/oauth2/v2.0/token"
    assert (await cloud.token(eve, where)).status_code == 200


async def test_a_wrong_code_is_50074(cloud, browser):
    browser.enroll()
    with cloud.db.reading() as connection:
        user = principals.by_user_name(connection, cloud.first.user_name)
    factors = second_factor.SecondFactors(cloud.db, cloud.clock, b"shared by all nodes")
    with pytest.raises(OAuthError) as refused:
        await factors.check(user, "000000")
    assert refused.value.number == 50074


def test_codes_are_those_of_rfc_6238():
    secret = base64.b32encode(b"12345678901234567890").decode()
    for now, expected in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert second_factor.code_at(secret, now // 30) == expected
        assert second_factor.matching_step(secret, expected, now) == now // 30
        assert second_factor.matching_step(secret, expected, now + 61) is None


def test_the_secret_is_nowhere_in_the_database(cloud, browser):
    found = browser.enroll()
    with cloud.db.reading() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM credentials").all())
    assert found.secret not in rows
    assert not any(code in rows for code in found.recovery_codes)


async def test_a_factor_that_other_keys_sealed_is_refused_and_not_a_fault(cloud, browser):
    with cloud.db.writing() as connection:
        user = principals.by_user_name(connection, cloud.first.user_name)
        second_factor.enroll(connection, second_factor.sealer(b"other"), user, cloud.clock())
    page = await browser.send(await browser.open(), **browser.user)
    answer = await browser.send(page, otp="123456")
    assert answer.status_code == 303
    assert "temporarily_unavailable" in answer.headers["location"]


def amr(answer):
    """Read how the person of an answer's tokens has signed in; both say the same."""
    body = answer.json()
    access, id_token = (unverified_parts(body[name])[1] for name in ("access_token", "id_token"))
    assert access["amr"] == id_token["amr"]
    return access["amr"]


async def test_tokens_say_how_a_person_has_signed_in(cloud, browser):
    assert amr(await cloud.token(cloud.password_form())) == ["pwd"]
    assert amr(await browser.redeem(await browser.code())) == ["pwd"]
    found = browser.enroll()
    page = await browser.send(await browser.open(response_mode="form_post"), **browser.user)
    sent = browser.form(await browser.send(page, otp=browser.otp(found)))
    with_code = await browser.redeem(sent.fields["code"])
    assert amr(with_code) == ["pwd", "mfa"]
    refreshed = await cloud.token(cloud.refresh_form(with_code.json()["refresh_token"]))
    assert amr(refreshed) == ["pwd", "mfa"]


@pytest.mark.parametrize("page", ["browser", "device"])
async def test_a_factor_that_comes_while_the_password_is_checked_is_not_got_around(
    cloud, browser, monkeypatch, page
):
    needed, asked = second_factor.needed, []

    def enrolled_meanwhile(connection, user):
        if not asked.append(user) and len(asked) == 1:
            return needed(connection, user)
        return second_factor.CODE

    code = await cloud.begin_device()
    opened = await browser.open()
    monkeypatch.setattr(second_factor, "needed", enrolled_meanwhile)
    answer = await (cloud.approve(code) if page == "device" else browser.send(opened, **browser.user))
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert len(asked) == 2
    assert "Enter the password again" in answer.text
    if page == "device":
        assert (await cloud.poll(code)).json()["error"] == "authorization_pending"
