"""What `download` fetches is whole, is what was published, and lies where it is looked for."""

import errno
import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core import plugins
from lmd_bench.core.errors import DiskError, UserError
from lmd_bench.data import datasets
from lmd_bench.data.datasets import chula_rbc12
from lmd_bench.data.datasets.ham10000 import Ham10000
from lmd_bench.data.download import archive, download, sources, transfer
from lmd_bench.data.table import PublishedFile
from tests.data.datasets import layouts
from tests.data.download.server import Site, served

LIST = b"lesion_id,image_id\n" + b"HAM_1,ISIC_1\n" * 300_000  # more than one chunk


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0))


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


IMAGES = zipped(**{"images/a.jpg": b"A" * 2000, "images/b.jpg": b"B", "__MACOSX/c": b"C"})


@pytest.fixture
def site():
    with served(Site({"/list.csv": LIST, "/images.zip": IMAGES})) as site:
        yield site


def data_set(site: Site, *, md5: str | None = "", of: bytes = LIST) -> Ham10000:
    """Return a data set that is published on a site; its checksum is known where asked for."""
    known = f"md5:{hashlib.md5(of, usedforsecurity=False).hexdigest()}"
    dataset = Ham10000()
    dataset.published = (
        PublishedFile("list.csv", f"{site.url}/list.csv", known if md5 == "" else md5),
        PublishedFile("images.zip", f"{site.url}/images.zip", into="images"),
    )
    return dataset


def below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


WHOLE = {"list.csv", "images/a.jpg", "images/b.jpg", "downloads.json"}


def test_files_come_to_their_places_and_nothing_else_is_left(site, tmp_path):
    told = {}
    download(data_set(site), tmp_path / "new", on_bytes=lambda *of: told.update({of[0]: of[1:]}))
    assert below(tmp_path / "new") == WHOLE
    assert (tmp_path / "new" / "list.csv").read_bytes() == LIST
    assert told == {"list.csv": (len(LIST),) * 2, "images.zip": (len(IMAGES),) * 2}
    assert not (tmp_path / "new" / ".download").exists()


def test_what_is_here_is_not_fetched_again(site, tmp_path):
    download(data_set(site), tmp_path)
    n_asked = len(site.asked)
    download(data_set(site), tmp_path)
    assert len(site.asked) == n_asked
    assert all(source.here for source in sources(data_set(site), tmp_path))


@pytest.mark.parametrize(("parts", "rest"), [(True, "bytes=1048576-"), (False, "bytes=1048576-")])
def test_a_cut_connection_goes_on_where_it_stopped(site, tmp_path, parts, rest):
    site.cut_after, site.parts = [2**20], parts
    dataset = data_set(site)
    dataset.published = dataset.published[:1]
    download(dataset, tmp_path)
    assert (tmp_path / "list.csv").read_bytes() == LIST
    assert [span for _, span in site.asked] == [None, rest]


def test_after_too_many_cuts_the_same_command_goes_on(site, tmp_path):
    dataset = data_set(site)
    dataset.published = dataset.published[:1]
    site.cut_after = [2**20] * 3
    with pytest.raises(UserError, match="the same command goes on") as error:
        download(dataset, tmp_path)
    assert dataset.card.how_to_get in str(error.value)
    assert not (tmp_path / "list.csv").exists()
    download(dataset, tmp_path)
    assert (tmp_path / "list.csv").read_bytes() == LIST
    assert site.asked[-1][1] == "bytes=3145728-"


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(site, tmp_path):
    dataset = data_set(site, md5=None)
    dataset.published = dataset.published[:1]
    site.cut_after = [2**20] * 3
    with pytest.raises(UserError):
        download(dataset, tmp_path)
    site.files["/list.csv"], site.mark = LIST.upper(), '"v2"'
    download(dataset, tmp_path)
    assert (tmp_path / "list.csv").read_bytes() == LIST.upper()


def test_without_a_mark_and_a_checksum_no_part_is_trusted(site, tmp_path):
    dataset = data_set(site, md5=None)
    dataset.published = dataset.published[:1]
    site.cut_after, site.mark = [2**20], None
    download(dataset, tmp_path)
    assert [span for _, span in site.asked] == [None, None]
    assert (tmp_path / "list.csv").read_bytes() == LIST


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.statuses = [503, 429]
    dataset = data_set(site)
    dataset.published = dataset.published[:1]
    download(dataset, tmp_path)
    assert (tmp_path / "list.csv").exists()


def test_redirects_are_followed(site, tmp_path):
    site.redirects = {"/list.csv": "/there", "/there": "/real"}
    site.files["/real"] = LIST
    download(data_set(site), tmp_path)
    assert below(tmp_path) == WHOLE


def test_a_way_that_leaves_encryption_is_refused(monkeypatch, tmp_path, site):
    import requests

    ask = requests.get
    monkeypatch.setattr(
        requests, "get", lambda url, **how: ask(url.replace("https:", "http:"), **how)
    )
    dataset = data_set(site)
    url = f"{site.url}/list.csv".replace("http:", "https:")
    dataset.published = (PublishedFile("list.csv", url, n_bytes=1),)
    with pytest.raises(UserError, match="not encrypted"):
        download(dataset, tmp_path)


def test_another_file_than_the_published_one_is_removed(site, tmp_path):
    with pytest.raises(UserError, match="its checksum is not md5:"):
        download(data_set(site, of=b"other"), tmp_path)
    assert not (tmp_path / "list.csv").exists()
    assert not list((tmp_path / ".download").glob("list.csv*"))


def test_a_checksum_that_is_not_published_is_that_of_the_first_download(site, tmp_path):
    download(data_set(site), tmp_path)
    record = {
        entry["file"]: entry for entry in json.loads((tmp_path / "downloads.json").read_text())
    }
    assert record["images.zip"]["sha256"] == hashlib.sha256(IMAGES).hexdigest()
    shutil.rmtree(tmp_path / "images")
    site.files["/images.zip"] = zipped(**{"a.jpg": b"another"})
    with pytest.raises(UserError, match="its checksum is not sha256:"):
        download(data_set(site), tmp_path)
    assert not (tmp_path / "images").exists()


def test_a_file_of_ones_own_is_never_replaced(site, tmp_path):
    (tmp_path / "list.csv").write_text("mine")
    with pytest.raises(UserError, match="is there and is not the published file"):
        download(data_set(site), tmp_path)
    assert (tmp_path / "list.csv").read_text() == "mine"
    assert not site.asked


@pytest.mark.parametrize(("status", "words"), [(404, "says 404"), (403, "says 403")])
def test_what_is_not_there_is_said_with_what_to_do_by_hand(site, tmp_path, status, words):
    site.statuses = [status] * 2
    dataset = data_set(site)
    with pytest.raises(UserError, match=words) as error:
        download(dataset, tmp_path)
    assert dataset.card.how_to_get in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_offline_one_sentence_says_what_to_fetch_by_hand(tmp_path):
    with served(Site({})) as gone:
        pass
    dataset = data_set(gone)
    with pytest.raises(UserError, match="no connection to the server") as error:
        download(dataset, tmp_path)
    assert dataset.card.how_to_get in str(error.value)
    assert "\n" not in str(error.value)


def test_what_will_not_fit_is_refused_before_anything_is_fetched(site, tmp_path, monkeypatch):
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, len(LIST)))
    with pytest.raises(DiskError, match=r"GB are needed in .*--data-root"):
        download(data_set(site), tmp_path)
    assert not site.asked


def test_a_disk_that_fills_up_meanwhile_is_given_back(site, tmp_path, monkeypatch):
    def full(name, done, total):
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = data_set(site)
    dataset.published = dataset.published[:1]
    with pytest.raises(DiskError, match="No space left"):
        download(dataset, tmp_path, on_bytes=full)
    assert below(tmp_path) <= {".download/lock", ".download/list.mark", ".download/list.csv.mark"}


def archive_of(tmp_path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    file = tmp_path / "work" / "made.zip"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return file


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


BAD = {
    "up": ("../out.txt", b"x", "leads out"),
    "deep": ("a/../../out.txt", b"x", "leads out"),
    "absolute": ("/out.txt", b"x", "leads out"),
    "windows": ("..\\out.txt", b"x", "leads out"),
    "drive": ("C:/out.txt", b"x", "leads out"),
    "link": (link("a/link"), b"/etc", "is a link"),
    "bomb": ("bomb", bytes(2**22), "more than any images do"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_archive_that_would_do_harm_is_not_unpacked(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SMALL", 2**16)
    name, content, words = BAD[kind]
    file = archive_of(tmp_path, ("good.jpg", b"good"), (name, content))
    with pytest.raises(UserError, match=words):
        archive.unpack(file, tmp_path / "work" / "target")
    assert below(tmp_path) == {"work/made.zip"}
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["made.zip"]


def test_a_member_larger_than_it_says_is_not_unpacked(tmp_path):
    file = archive_of(tmp_path, ("a.jpg", b"x" * 5000))
    content = file.read_bytes()
    # The size stands in the directory at the end and before the member itself.
    file.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(UserError, match="cannot be unpacked"):
        archive.unpack(file, tmp_path / "target")
    assert below(tmp_path) == set()


def test_a_name_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        file = archive_of(tmp_path, ("target/a.jpg", b"1"), ("target/a.jpg", b"2"))
    with pytest.raises(UserError, match="twice"):
        archive.unpack(file, tmp_path / "target")


def test_a_cut_archive_is_removed_so_that_it_is_fetched_again(tmp_path):
    file = archive_of(tmp_path, ("a.jpg", b"1" * 999))
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be unpacked"):
        archive.unpack(file, tmp_path / "target")
    assert not file.exists()
    assert not (tmp_path / "target").exists()


def test_what_an_archive_holds_must_fit(tmp_path, monkeypatch):
    usage = type(shutil.disk_usage(tmp_path))
    file = archive_of(tmp_path, ("a.jpg", b"1" * 999))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 998))
    with pytest.raises(DiskError, match="make room"):
        archive.unpack(file, tmp_path / "target")


def test_the_size_near_that_of_prepared_images_is_taken(tmp_path):
    names = [source.file.name for source in sources(datasets.load("bloodmnist"), tmp_path)]
    assert names == ["bloodmnist_64.npz"]
    names = [source.file.name for source in sources(datasets.load("bloodmnist"), tmp_path, 28)]
    assert names == ["bloodmnist.npz"]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("bloodmnist", 100, "choose from 28, 64, 128, 224"),
        ("ham10000", 64, "leave it out"),
        ("isic_archive", None, "cannot download"),
        ("synthetic", None, "cannot download"),
    ],
)
def test_what_cannot_be_fetched_is_said(name, size, words, tmp_path):
    with pytest.raises(UserError, match=words):
        sources(datasets.load(name), tmp_path, size)


@pytest.mark.parametrize("name", plugins.names("datasets"))
def test_what_a_data_set_publishes_leads_to_where_it_looks(name):
    dataset = datasets.load(name)
    for file in dataset.published:
        assert file.url.startswith("https://")
        kind, _, digest = (file.checksum or "sha256:" + 64 * "0").partition(":")
        assert (kind, len(digest)) in (("md5", 32), ("sha256", 64))
        if file.into is None:
            assert file.name in dataset.tables or file.name.endswith(".npz")
        else:
            made = type(dataset).complete is not datasets.Dataset.complete
            assert made or any(
                folder == file.into or folder.startswith(f"{file.into}/")
                for folder in dataset.image_folders
            )


def test_the_command_shows_the_licence_and_goes_on_when_it_is_accepted(site, tmp_path, monkeypatch):
    layouts.write_npz(tmp_path / "made.npz", 8)
    site.files["/made.npz"] = content = (tmp_path / "made.npz").read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    kind = plugins.plugin_class("datasets", "bloodmnist")
    made = PublishedFile("bloodmnist.npz", f"{site.url}/made.npz", f"md5:{md5}", size=28)
    monkeypatch.setattr(kind, "published", (made,))
    monkeypatch.setenv("LMD_BENCH_DATA", str(tmp_path / "data"))
    refused = CliRunner().invoke(app, ["download", "bloodmnist"])
    assert "CC BY 4.0" in refused.output
    assert isinstance(refused.exception, UserError)
    assert "--accept-licence" in str(refused.exception)
    assert not site.asked
    result = CliRunner().invoke(app, ["download", "bloodmnist", "--accept-licence"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "data" / "bloodmnist"
    assert f"bloodmnist: 48 of 48 images in {folder}" in result.output
    assert below(folder) == {"bloodmnist.npz", "downloads.json"}


def test_a_folder_has_to_be_named(monkeypatch):
    monkeypatch.delenv("LMD_BENCH_DATA", raising=False)
    result = CliRunner().invoke(app, ["download", "bloodmnist", "--accept-licence"])
    assert "LMD_BENCH_DATA" in str(result.exception)


def test_cells_are_cut_out_of_the_smears_of_chula(site, tmp_path):
    top = chula_rbc12.PUBLISHED
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), (10, 20, 30)).save(picture, "JPEG")
    site.files["/chula.zip"] = zipped(
        **{
            f"{top}/Dataset/2.jpg": picture.getvalue(),
            f"{top}/Label/2.txt": b"100 90 0\n\n600 440 12\n601 440 0\n39 90 1\n"
            b"100 90 3\n50 60 10\n",
            f"{top}/Dataset/10.jpg": picture.getvalue(),  # the same smear again
            f"{top}/Label/10.txt": b"100 90 0\n",
        }
    )
    dataset = chula_rbc12.ChulaRbc12()
    dataset.published = (PublishedFile("c.zip", f"{site.url}/chula.zip", into=top),)
    download(dataset, tmp_path)
    table = dataset.read(tmp_path)
    assert table.image_ids == ("s2_x100_y90", "s2_x600_y440")
    assert [table.class_names[label] for label in table.labels] == ["normal", "elliptocyte"]
    assert table.groups == ("2", "2")
    assert not dataset.missing(tmp_path, table).any()
    with Image.open(tmp_path / "images" / "s2_x600_y440.jpg") as cell:
        assert cell.size == (80, 80)
