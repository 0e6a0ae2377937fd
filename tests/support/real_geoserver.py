"""A GeoServer of somebody's own, for tests: what is made in it has a prefix and goes again."""

import uuid
from pathlib import Path
from types import TracebackType

import pytest
import requests

from candela.backoff import Backoff
from candela.publish.geoserver.publisher import GeoServerPublisher, Site
from candela.publish.geoserver.rest import Account, GeoServerRest

PREFIX = "candelatest"
OPTIONS = {
    "url": "address of a GeoServer to test against",
    "user": "an administrator of it",
    "password-file": "where that one's password is",
    "folder": "a folder that both see under the same path (default: one in /tmp)",
}


def add_options(parser: pytest.Parser) -> None:
    """Add ``--geoserver-url`` and so on."""
    group = parser.getgroup("geoserver", "a real GeoServer")
    for name, text in OPTIONS.items():
        group.addoption(f"--geoserver-{name}", default="", help=text)
    group.addoption(
        "--geoserver-record", action="store_true", help="record its answers for the double"
    )


class RealGeoServer:
    """Workspaces with a prefix of their own in a GeoServer; use it as a context manager."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.url = config.getoption("--geoserver-url").rstrip("/")
        password = Path(config.getoption("--geoserver-password-file")).read_text().strip()
        self.account = (config.getoption("--geoserver-user"), password)
        self.prefix = f"{PREFIX}{uuid.uuid4().hex[:6]}"
        shared = config.getoption("--geoserver-folder")
        self.folder = Path(shared) / self.prefix if shared else folder / "published"

    def __enter__(self) -> "RealGeoServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clean()

    def publisher(self, **site: object) -> GeoServerPublisher:
        """Return a publisher of these workspaces, as another gateway would have."""
        values = {"public_url": self.url, "folder": self.folder, "prefix": self.prefix}
        rest = GeoServerRest(self.url, Account(*self.account))
        return GeoServerPublisher(rest, Site(**(values | site)), backoff=Backoff(0.2, 2))

    def ask(
        self, method: str, path: str, *, anybody: bool = False, **more: object
    ) -> requests.Response:
        """Ask as the administrator, or as anybody."""
        more.setdefault("auth", None if anybody else self.account)
        return requests.request(method, self.url + path, timeout=60, **more)

    def version(self) -> str:
        """Return what it says it is."""
        about = self.ask("GET", "/rest/about/version.json").json()["about"]["resource"]
        return next(str(item["Version"]) for item in about if item["@name"] == "GeoServer")

    def is_older(self, version: str) -> bool:
        """Whether it is of an older series than a version such as 2.26."""
        ours, other = (
            tuple(int(part) for part in text.split(".")[:2]) for text in (self.version(), version)
        )
        return ours < other

    def workspaces(self) -> list[str]:
        """List the workspaces of this prefix."""
        found = self.ask("GET", "/rest/workspaces.json").json()["workspaces"] or {"workspace": []}
        names = [item["name"] for item in found["workspace"]]
        return [name for name in names if name.startswith(f"{self.prefix}_")]

    def clean(self) -> None:
        """Remove all of this prefix: workspaces, folders, rules, roles and users."""
        for name in self.workspaces():
            self.ask("DELETE", f"/rest/workspaces/{name}?recurse=true").raise_for_status()
            self.ask("DELETE", f"/rest/resource/data/{name}")
        for rule in self.ask("GET", "/rest/security/acl/layers.json").json():
            if rule.startswith(f"{self.prefix}_"):
                self.ask("DELETE", f"/rest/security/acl/layers/{rule}").raise_for_status()
        for user in self.ask("GET", "/rest/security/usergroup/users.json").json()["users"]:
            if user["userName"].startswith(self.prefix):
                self.ask("DELETE", f"/rest/security/usergroup/user/{user['userName']}")
        for role in self.ask("GET", "/rest/security/roles.json").json()["roles"]:
            if role.startswith(self.prefix.upper()):
                self.ask("DELETE", f"/rest/security/roles/role/{role}")

    def add_user(self, name: str, role: str) -> tuple[str, str]:
        """Make a user who has a role; return name and password."""
        user = {"userName": f"{self.prefix}_{name}", "password": uuid.uuid4().hex, "enabled": True}
        self.ask("POST", "/rest/security/usergroup/users", json={"user": user}).raise_for_status()
        self.ask("POST", f"/rest/security/roles/role/{role}").raise_for_status()
        place = f"/rest/security/roles/role/{role}/user/{user['userName']}"
        self.ask("POST", place).raise_for_status()
        return str(user["userName"]), str(user["password"])
