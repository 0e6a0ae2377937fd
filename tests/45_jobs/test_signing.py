"""The key that signs tokens: whole or not there, the same for all, never short."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from candela.gateway.server import check
from candela.settings import ConfigurationError, Settings

KEY_OF = """
import resource, sys
from pathlib import Path
from candela.settings import Settings
if "--no-room" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print(Settings(data=Path(sys.argv[1])).signing_key.decode())
"""


def run(*arguments):
    command = [sys.executable, "-c", KEY_OF, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_gateways_that_start_together_have_one_key(tmp_path):
    data = tmp_path / "data"
    with ThreadPoolExecutor(4) as threads:
        keys = {done.stdout for done in threads.map(lambda _: run(data), range(4))}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
    assert [path.name for path in data.iterdir()] == ["secret"]
    assert stat.S_IMODE((data / "secret").stat().st_mode) == 0o600


def test_a_key_that_cannot_be_written_leaves_no_file(tmp_path):
    done = run(tmp_path, "--no-room")
    assert "ConfigurationError" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"a" * 31])
def test_a_short_key_file_is_refused_at_the_start(tmp_path, content):
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"secret: the key has \d+ bytes, .* remove"):
        check(Settings(data=tmp_path))


def test_a_short_key_of_the_environment_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"CANDELA_SECRET.*6 bytes, expected at least 32"):
        check(Settings(data=tmp_path, secret="secret"))
