"""Downloads: under the product's own name, within limits, tried again where that helps."""

from pathlib import Path

import pytest

from candela.contract.addresses import AddressGuard
from candela.contract.job import Reference
from candela.eo.progress import silent
from candela.errors import ReferenceUnavailableError, TooLargeError
from candela.worker import download
from candela.worker import web as asking
from candela.worker.download import fetch

SAFE = "S2A_MSIL2A_20200101T103421_N0500_R108_T31TDH_20230101T000000.SAFE.zip"

GUARD = AddressGuard(["127.0.0.1", "localhost"])


@pytest.fixture
def get(tmp_path):
    def get(href: str, *, max_bytes: int = 10**6, progress=silent, **reference: object) -> Path:
        folder = tmp_path / "input"
        folder.mkdir(exist_ok=True)
        return fetch(
            Reference(href=href, **reference),
            folder,
            guard=GUARD,
            suffix=".tif",
            max_bytes=max_bytes,
            progress=progress,
        )

    return get


def test_a_file_has_the_name_that_its_address_has(web, answer, get):
    path = get(web.serve(f"/data/{SAFE}", answer(b"product")))
    assert path.name == SAFE
    assert path.read_bytes() == b"product"


def test_the_name_that_the_server_gives_wins(web, answer, get):
    told = {"Content-Disposition": f'attachment; filename="{SAFE}"'}
    assert get(web.serve("/odata/Products(1)/$value", answer(b"x", headers=told))).name == SAFE


def test_an_encoded_name_is_decoded(web, answer, get):
    told = {"Content-Disposition": "attachment; filename*=UTF-8''before%20image.tif"}
    assert get(web.serve("/x", answer(b"x", headers=told))).name == "before_image.tif"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("../../etc/passwd.tif", "passwd.tif"),
        ("..\\\\..\\\\evil.tif", "evil.tif"),
        (".bashrc", "bashrc.tif"),
        ("-rf.tif", "rf.tif"),
        ("a;b$(c).tif", "a_b__c_.tif"),
        ("..", "input.tif"),
    ],
)
def test_a_dangerous_name_becomes_harmless(web, answer, get, told, name):
    headers = {"Content-Disposition": f'attachment; filename="{told}"'}
    path = get(web.serve("/x", answer(b"x", headers=headers)))
    assert path.parent.name == "input"
    assert path.name == name


def test_a_name_without_a_suffix_gets_the_one_of_its_type(web, answer, get):
    assert get(web.serve("/coverage?id=1", answer(b"x"))).name == "coverage.tif"
    assert get(web.serve("/", answer(b"x"))).name == "input.tif"


def test_redirects_are_followed_and_keep_the_name(web, answer, get):
    web.serve("/bucket/0815", answer(b"product"))
    href = web.serve(f"/{SAFE}", answer(status=302, headers={"Location": "/bucket/0815"}))
    path = get(href)
    assert path.name == SAFE
    assert path.read_bytes() == b"product"


def test_a_circle_of_redirects_ends(web, answer, get):
    href = web.serve("/x", answer(status=302, headers={"Location": "/x"}))
    with pytest.raises(ReferenceUnavailableError, match="redirects"):
        get(href)
    assert len(web.asked) == asking.MAX_REDIRECTS + 1


def test_a_redirect_to_a_file_of_this_machine_is_refused(web, answer, get):
    href = web.serve("/x", answer(status=302, headers={"Location": "file:///etc/passwd"}))
    with pytest.raises(ReferenceUnavailableError, match="expected an http or https address"):
        get(href)


def test_a_redirect_to_another_server_does_not_get_the_password(web, answer, get):
    other = web.url.replace("127.0.0.1", "localhost")
    web.serve("/other", answer(b"x"))
    href = web.serve("/x", answer(status=307, headers={"Location": f"{other}/other"}))
    get(href, headers={"Authorization": "Bearer secret"})
    assert web.asked[0].headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in web.asked[1].headers


def test_body_and_headers_are_sent(web, answer, get):
    href = web.serve("/wps", answer(b"<a/>", headers={"Content-Type": "text/xml"}))
    get(href, method="POST", body="<Execute/>", headers={"X-Key": "1"})
    asked = web.asked[0]
    assert (asked.method, asked.body, asked.headers["X-Key"]) == ("POST", b"<Execute/>", "1")


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_asked_again(web, answer, get, status):
    href = web.serve("/x.tif", answer(status=status), answer(b"image"))
    assert get(href).read_bytes() == b"image"
    assert len(web.asked) == 2


def test_a_server_that_stays_in_trouble_is_given_up(web, answer, get):
    href = web.serve("/x.tif", answer(status=503))
    with pytest.raises(ReferenceUnavailableError, match="the server answered 503"):
        get(href)
    assert len(web.asked) == asking.TRIES


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(web, answer, get, status):
    href = web.serve("/x.tif", answer(status=status))
    with pytest.raises(ReferenceUnavailableError, match=f"answered {status}"):
        get(href)
    assert len(web.asked) == 1


def test_a_file_that_breaks_off_is_fetched_again(web, answer, get):
    href = web.serve("/x.tif", answer(b"ima", declared=5), answer(b"image"))
    assert get(href).read_bytes() == b"image"


def test_a_file_that_always_breaks_off_is_not_taken_for_whole(web, answer, get):
    href = web.serve("/x.tif", answer(b"ima", declared=5))
    with pytest.raises(ReferenceUnavailableError, match="broke off"):
        get(href)


def test_a_server_that_is_not_there_is_reported(get, unused_port):
    with pytest.raises(ReferenceUnavailableError, match="no connection to the server"):
        get(f"http://127.0.0.1:{unused_port}/x.tif")


def test_a_server_that_is_silent_is_reported(web, answer, get, monkeypatch):
    monkeypatch.setattr(asking, "TIMEOUT_S", (1.0, 0.05))
    monkeypatch.setattr(asking, "TRIES", 1)
    href = web.serve("/x.tif", answer(b"", declared=5, hold_s=0.3))
    with pytest.raises(ReferenceUnavailableError):
        get(href)


def test_a_server_that_dribbles_is_given_up(web, answer, get, monkeypatch):
    monkeypatch.setattr(download, "TOTAL_S", -1.0)
    with pytest.raises(ReferenceUnavailableError, match="has not come within"):
        get(web.serve("/x.tif", answer(b"image")))


def test_a_declared_size_above_the_limit_is_refused_at_once(web, answer, get):
    with pytest.raises(TooLargeError, match="at most 10 are allowed"):
        get(web.serve("/x.tif", answer(b"12345678901")), max_bytes=10)


def test_an_undeclared_size_above_the_limit_is_refused(web, answer, get):
    with pytest.raises(TooLargeError):
        get(web.serve("/x.tif", answer(b"12345678901", declared=-1)), max_bytes=10)


def test_what_went_wrong_does_not_show_secrets(web, answer, get, caplog):
    caplog.set_level("INFO")
    href = web.serve("/x.tif?token=secret", answer(status=503))
    with pytest.raises(ReferenceUnavailableError) as caught:
        get(href.replace("://", "://user:secret@"))
    assert "secret" not in caught.value.message
    assert "secret" not in caplog.text


def test_progress_says_how_much_has_come(web, answer, get):
    said = []

    def note(percent: float, message: str) -> None:
        said.append((percent, message))

    get(
        web.serve("/x.tif", answer(b"1" * 2 * 10**6)),
        max_bytes=10**7,
        progress=note,
    )
    assert said[-1] == (0, "fetching x.tif: 2 MB (100 %)")


def test_a_redirect_to_an_address_inside_is_refused(web, answer, get):
    neighbour = web.url.replace("127.0.0.1", "127.0.0.2")
    for target in (f"{neighbour}/y.tif", neighbour.replace("127.0.0.2", "0x7f000002")):
        href = web.serve("/x.tif", answer(status=302, headers={"Location": target}))
        with pytest.raises(ReferenceUnavailableError):
            get(href)
    assert {asked.path for asked in web.asked} == {"/x.tif"}


def test_a_name_that_leads_inside_is_not_asked(web, answer, tmp_path):
    href = web.serve("/x.tif", answer(b"x")).replace("127.0.0.1", "localhost")
    with pytest.raises(ReferenceUnavailableError, match="not a public address"):
        fetch(
            Reference(href=href),
            tmp_path,
            guard=AddressGuard(),
            suffix="",
            max_bytes=9,
            progress=silent,
        )
    assert web.asked == []


def test_a_proxy_of_the_environment_is_not_used(web, answer, get, monkeypatch, unused_port):
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    assert get(web.serve("/x.tif", answer(b"x"))).read_bytes() == b"x"


def test_passwords_of_this_machine_are_not_sent(web, answer, get, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(web.serve("/x.tif", answer(b"x")))
    assert "Authorization" not in web.asked[0].headers


def test_headers_that_say_how_a_message_is_sent_are_ours(web, answer, get):
    given = {"Host": "inside.example", "range": "bytes=1-", "Content-Length": "7", "X-Key": "1"}
    get(web.serve("/x.tif", answer(b"x")), headers=given)
    headers = web.asked[0].headers
    assert headers["Host"] == web.url.removeprefix("http://")
    assert headers["X-Key"] == "1"
    assert not {"range", "Range", "Content-Length"} & set(headers)
