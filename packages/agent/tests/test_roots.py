from __future__ import annotations

from landbridge_agent.roots import MARK, certificates, merged


def pem(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


OURS, NEXT, PROXY = pem("T1VSUw=="), pem("TkVYVA=="), pem("UFJPWFk=")


def test_what_the_cloud_names_takes_the_place_of_what_it_named_before():
    first = merged(OURS, OURS + NEXT)
    assert certificates(first) == [OURS, NEXT]
    assert certificates(merged(first, NEXT)) == [NEXT]


def test_what_an_administrator_put_there_stays():
    held = merged("# our proxy\n" + PROXY + OURS, OURS + NEXT)
    assert certificates(merged(held, NEXT)) == [PROXY, NEXT]
    assert certificates(held.partition(MARK)[0]) == [PROXY]


def test_saying_the_same_again_changes_nothing():
    held = merged(OURS, OURS + NEXT)
    assert merged(held, OURS + NEXT) == held


def test_line_ends_and_text_around_certificates_do_not_matter():
    assert certificates("subject=CN\n" + OURS.replace("\n", "\r\n") + "\ntail") == [OURS]
    assert certificates("-----BEGIN CERTIFICATE-----\nno end") == []
