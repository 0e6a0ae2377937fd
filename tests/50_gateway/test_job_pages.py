"""Pages for people."""

import re
from urllib.parse import quote

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
GET = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs="
ASYNC = "&storeExecuteResponse=true&status=true"


def test_the_landing_page_lists_processes_and_jobs(http):
    job_id = http.get(f"{GET}literal=x{ASYNC}").root.get("statusLocation").rpartition("/")[2]
    page = http.get("/", headers=BROWSER)
    assert page.mimetype == "text/html"
    for text in ("Change detection between two dates", "Jpeg2Tiff", f"/jobs/{job_id}"):
        assert text in page.text


def test_a_browser_sees_a_job_as_a_page_and_a_program_as_json(http):
    text = "%3Cscript%3E7%3C/script%3E"
    job_id = http.get(f"{GET}literal={text}{ASYNC}").root.get("statusLocation").rpartition("/")[2]
    page = http.get(f"/jobs/{job_id}", headers=BROWSER)
    assert page.mimetype == "text/html"
    assert "&lt;script&gt;7" in page.text
    assert "<script>7" not in page.text
    assert http.get(f"/jobs/{job_id}").mimetype == "application/json"


def test_the_page_of_a_failed_job_says_why(http):
    reference = "complex=@xlink:href=http%3A%2F%2F127.0.0.1%3A9%2Fx.xml"
    root = http.get(f"{GET}{reference}{ASYNC}").root
    page = http.get(f"/jobs/{root.get('statusLocation').rpartition('/')[2]}", headers=BROWSER)
    assert "InvalidParameterValue" in page.text
    assert "127.0.0.1:9" in page.text


def test_a_job_goes_by_the_title_that_its_user_gave_it(http):
    title = quote("Äcker <b>2020</b>")
    told = http.get(f"{GET}literal=x{ASYNC}", headers={"Candela-Title": title})
    job_id = told.root.get("statusLocation").rpartition("/")[2]
    shown = "Äcker &lt;b&gt;2020&lt;/b&gt;"
    landing = http.get("/", headers=BROWSER).text
    assert re.search(rf'/jobs/{job_id}">{shown}</a>.*?Echo.*?{job_id[:8]}', landing, re.DOTALL)
    page = http.get(f"/jobs/{job_id}", headers=BROWSER).text
    assert f"<h1>{shown}</h1>" in page
    assert f"<title>{shown} {job_id[:8]}" in page
    assert "<code>Echo</code>" in page
    assert "<b>2020" not in landing + page


def test_processes_jobs_and_the_api_have_pages_of_their_own(http):
    title = quote("<b>job</b>")
    told = http.get(f"{GET}literal=x{ASYNC}", headers={"Candela-Title": title})
    job_id = told.root.get("statusLocation").rpartition("/")[2]
    pages = {
        path: http.get(path, headers=BROWSER)
        for path in ("/processes", "/processes/Echo", "/jobs?processID=Echo", "/api")
    }
    for page in pages.values():
        assert page.mimetype == "text/html"
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert '<a href="/processes/Echo">Echo for conformance tests</a>' in pages["/processes"].text
    described = pages["/processes/Echo"].text
    assert re.search(r"Some numbers<br><code.*?>numbers</code>.*?number, up to 10 values, optional",
                     described, re.DOTALL)  # fmt: skip
    assert re.search(r"number, from 0.0, to 600.0, default 0 s, optional", described)
    jobs = pages["/jobs?processID=Echo"].text
    assert f'<a href="/jobs/{job_id}">&lt;b&gt;job&lt;/b&gt;</a>' in jobs
    assert "<code>/processes/Echo/execution</code>" in pages["/api"].text
