"""The storage, in a folder or a bucket: a reader never sees half a file, no key leads out of it."""

import os
import threading
import time
from pathlib import Path

import boto3
import pytest

from candela.errors import NotFoundError, StorageError
from candela.storage import Storage, open_storage
from candela.storage.bucket import PART_BYTES


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "bucket":
        return open_storage(f"s3://{request.getfixturevalue('bucket')}/some/prefix")
    return open_storage((tmp_path / "storage").as_uri())


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    return open_storage((tmp_path / "storage").as_uri())


def test_what_is_written_is_read(storage):
    storage.write("jobs/1/job.json", b"{}")
    assert storage.read("jobs/1/job.json") == b"{}"
    assert storage.exists("jobs/1/job.json")
    assert storage.size("jobs/1/job.json") == 2


def test_the_url_of_a_storage_opens_the_same_storage(storage):
    storage.write("a", b"1")
    assert open_storage(storage.url).read("a") == b"1"


def test_a_folder_with_blanks_in_its_name_is_a_storage(tmp_path):
    storage = open_storage((tmp_path / "my storage").as_uri())
    storage.write("a", b"1")
    assert (tmp_path / "my storage" / "a").read_bytes() == b"1"


def test_a_file_is_put_without_a_copy(folder, tmp_path):
    (tmp_path / "image.tif").write_bytes(b"pixels")
    inode = (tmp_path / "image.tif").stat().st_ino
    folder.put("jobs/1/outputs/image.tif", tmp_path / "image.tif")
    assert folder.local_path("jobs/1/outputs/image.tif").stat().st_ino == inode


def test_a_file_is_put_twice(storage, tmp_path):
    (tmp_path / "image.tif").write_bytes(b"pixels")
    for _ in range(2):
        storage.put("image.tif", tmp_path / "image.tif")
    assert storage.read("image.tif") == b"pixels"


def test_nothing_unfinished_stays_in_a_folder(folder, tmp_path):
    (tmp_path / "image.tif").write_bytes(b"pixels")
    for _ in range(2):
        folder.put("image.tif", tmp_path / "image.tif")
    assert not any((folder.root / ".scratch").iterdir())


def test_a_large_file_goes_and_comes_in_parts(storage, tmp_path):
    content = os.urandom(PART_BYTES + 100)
    (tmp_path / "image.tif").write_bytes(content)
    storage.put("image.tif", tmp_path / "image.tif")
    (tmp_path / "image.tif").unlink(missing_ok=True)
    told = []
    storage.fetch("image.tif", tmp_path / "copy.tif", told.append)
    assert (tmp_path / "copy.tif").read_bytes() == content
    assert sum(told) == len(content)


def test_files_are_joined_to_one(storage):
    parts = [bytes([number]) * 5 * 2**20 for number in range(2)] + [b"end"]
    for number, part in enumerate(parts):
        storage.write(f"uploads/1/parts/{number}", part)
    keys = storage.list("uploads/1/parts")
    storage.join("uploads/1/file/scene.zip", keys)
    assert storage.read("uploads/1/file/scene.zip") == b"".join(parts)
    storage.join("one", keys[-1:])
    assert storage.read("one") == b"end"
    with pytest.raises(NotFoundError):
        storage.join("two", ["uploads/1/parts/0", "none"])
    assert not storage.exists("two")


def test_a_file_is_copied_where_links_are_impossible(folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links")

    (tmp_path / "image.tif").write_bytes(b"pixels")
    monkeypatch.setattr(os, "link", refuse)
    folder.put("image.tif", tmp_path / "image.tif")
    assert folder.read("image.tif") == b"pixels"


def test_a_range_of_a_file_is_read(storage):
    content = bytes(range(256)) * 10_000
    storage.write("big", content)
    assert b"".join(storage.open("big")) == content
    assert b"".join(storage.open("big", 100, 2_000_000)) == content[100:2_000_000]
    assert b"".join(storage.open("big", len(content) - 5, len(content) + 5)) == content[-5:]
    assert list(storage.open("big", 7, 7)) == []


def test_a_missing_file_is_reported_before_the_first_byte(storage, tmp_path):
    with pytest.raises(NotFoundError, match="there is no jobs/1/outputs/x"):
        storage.open("jobs/1/outputs/x")
    with pytest.raises(NotFoundError):
        storage.etag("x")
    with pytest.raises(NotFoundError):
        storage.fetch("x", tmp_path / "x")
    with pytest.raises(NotFoundError):
        storage.read("x")
    with pytest.raises(NotFoundError):
        storage.size("x")
    assert not storage.exists("x")


def test_a_folder_is_no_file(storage):
    storage.write("jobs/1/job.json", b"{}")
    assert not storage.exists("jobs/1")
    with pytest.raises(NotFoundError):
        storage.size("jobs/1")


def test_the_etag_changes_with_the_content(storage):
    storage.write("a", b"1")
    first = storage.etag("a")
    assert storage.etag("a") == first
    storage.write("a", b"12")
    assert storage.etag("a") != first


def test_the_files_of_a_folder_are_listed(storage):
    for key in ("jobs/2/b", "jobs/1/outputs/c", "jobs/1/a"):
        storage.write(key, b"")
    assert storage.list("jobs") == ("jobs/1/a", "jobs/1/outputs/c", "jobs/2/b")
    assert storage.list("jobs/1") == ("jobs/1/a", "jobs/1/outputs/c")
    assert storage.list("nothing") == ()


def test_a_folder_is_deleted_twice_without_harm(storage):
    storage.write("jobs/1/a", b"")
    storage.write("jobs/10/a", b"")
    storage.delete("jobs/1")
    storage.delete("jobs/1")
    assert storage.list("jobs") == ("jobs/10/a",)


def test_a_single_file_is_deleted(storage):
    storage.write("jobs/1/a", b"")
    storage.delete("jobs/1/a")
    assert storage.list("jobs") == ()


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/.", "a\\b", "a\0b"]
)
def test_a_key_that_is_no_plain_path_is_refused(storage, key):
    with pytest.raises(StorageError):
        storage.read(key)
    with pytest.raises(StorageError):
        storage.delete(key)


def test_a_link_that_leads_out_of_the_storage_is_refused(folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder.write("jobs/1/a", b"")
    (folder.root / "jobs/1/link").symlink_to(tmp_path / "secret")
    (folder.root / "jobs/2").symlink_to(tmp_path)
    for key in ("jobs/1/link", "jobs/2/secret"):
        with pytest.raises(StorageError, match="leads out"):
            folder.read(key)


def test_a_reader_never_sees_half_a_file(storage):
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    storage.write("a", b"a" * 200_000)
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for content in contents:
                storage.write("a", content)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(storage.read("a") in contents for _ in range(200))
    finally:
        stop.set()
        writer.join()


def test_unfinished_files_of_a_folder_are_no_keys(folder):
    with pytest.raises(StorageError):
        folder.read(".scratch/a")


def test_the_folders_right_below_a_folder_are_listed(storage):
    for key in ("jobs/b/outputs/1", "jobs/a/job.json", "jobs/file", "other/c/1"):
        storage.write(key, b"1")
    assert storage.folders("jobs") == ("a", "b")
    assert storage.folders("none") == ()


def test_a_folder_changes_with_its_files(storage):
    start = time.time() - 2  # some servers know seconds only
    storage.write("jobs/a/outputs/1", b"1")
    assert start < storage.changed("jobs/a") < time.time() + 2
    with pytest.raises(NotFoundError):
        storage.changed("jobs/none")


def test_files_that_were_never_finished_are_swept_away(folder):
    folder.write("jobs/a/1", b"1")
    (folder.root / ".scratch" / "left").write_bytes(b"half")
    assert folder.sweep(time.time() - 60, never) == ()
    assert folder.sweep(time.time() + 60, never) == ("left",)
    assert list((folder.root / ".scratch").iterdir()) == []
    assert folder.read("jobs/a/1") == b"1"


def test_uploads_that_were_never_finished_are_swept_away(bucket):
    storage = open_storage(f"s3://{bucket}/below")
    client = boto3.client("s3")
    for key in ("below/jobs/gone/outputs/a", "below/jobs/live/outputs/b", "elsewhere/c"):
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"half")
    assert storage.sweep(0, never) == ()  # (this server says 2010 of every upload)
    swept = storage.sweep(time.time() + 60, lambda key: key.startswith("jobs/live/"))
    assert swept == ("jobs/gone/outputs/a",)
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert sorted(each["Key"] for each in left) == ["below/jobs/live/outputs/b", "elsewhere/c"]


def never(_key):
    return False


def test_a_bucket_keeps_files_below_its_prefix(bucket):
    whole, part = open_storage(f"s3://{bucket}"), open_storage(f"s3://{bucket}/a/b/")
    part.write("jobs/1/x", b"1")
    whole.write("a/bc", b"2")
    assert whole.list("a") == ("a/b/jobs/1/x", "a/bc")
    assert part.list("jobs") == ("jobs/1/x",)
    assert part.url == f"s3://{bucket}/a/b"
    assert part.local_path("jobs/1/x") is None


def test_more_objects_than_one_answer_holds_are_listed_and_removed(bucket):
    storage = open_storage(f"s3://{bucket}")
    client = boto3.client("s3")
    for number in range(1001):
        client.put_object(Bucket=bucket, Key=f"jobs/1/{number:04}")
    storage.write("jobs/10/x", b"")
    assert len(storage.list("jobs/1")) == 1001
    storage.delete("jobs/1")
    assert storage.list("jobs") == ("jobs/10/x",)


def test_objects_whose_keys_are_no_paths_are_left_out_but_removed(bucket):
    client = boto3.client("s3")
    for key in ("a/", "a/../../etc/passwd", "a//b", "a/good"):
        client.put_object(Bucket=bucket, Key=key)
    storage = open_storage(f"s3://{bucket}")
    assert storage.list("a") == ("a/good",)
    storage.delete("a")
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_a_file_that_changes_while_it_is_read_is_not_mixed(bucket):
    storage = open_storage(f"s3://{bucket}")
    storage.write("a", b"first")
    pieces = storage.open("a")
    storage.write("a", b"other")
    with pytest.raises(StorageError):
        b"".join(pieces)


def test_a_server_that_is_not_there_is_a_storage_error(bucket, unused_port):
    storage = open_storage(f"s3://{bucket}", endpoint=f"http://127.0.0.1:{unused_port}")
    with pytest.raises(StorageError, match="cannot read a"):
        storage.read("a")


def test_a_bucket_that_is_not_there_is_a_storage_error(bucket):
    with pytest.raises(StorageError):
        open_storage(f"s3://{bucket}-none").write("a", b"")


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///a",
        "s3://a",
        "s3://bucket/../a",
        "s3://user@bucket/a",
        "s3://buck?et",
        "file:relative",
        "file:///",
        "file://host/a",
        "x",
    ],
)
def test_an_unknown_kind_of_url_is_refused(url):
    with pytest.raises(StorageError):
        open_storage(url)
