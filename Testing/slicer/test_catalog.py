"""The extension's three descriptions, held against each other and against what the Extensions Index checks."""

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from Testing.slicer import descriptions
from Testing.slicer.descriptions import ROOT, cmake_variables, s4ext_values

# fmt: off
S4EXT_KEYS = [
    "scm", "scmurl", "scmrevision", "depends", "recommends", "build_subdirectory", "homepage", "contributors",
    "category", "iconurl", "status", "tier", "description", "screenshoturls", "enabled", "dicom_support_rule",
    "keywords",
]
CATALOG_KEYS = {  # of schema 1.0.2, with their types
    "$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "build_dependencies": list,
    "dicom_support_rule": str, "build_subdirectory": str, "enabled": bool, "tier": int,
}
# fmt: on
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)


@pytest.fixture
def cmake():
    return cmake_variables(ROOT)


@pytest.fixture
def cmake_text():
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture
def s4ext():
    return dict(s4ext_values(ROOT / "Speckle2Self.s4ext"))


@pytest.fixture
def catalog():
    return json.loads((ROOT / "Speckle2Self.json").read_text(encoding="utf-8"))


def test_every_description_has_the_address_of_the_one_place():
    assert descriptions.out_of_step() == [], "run: python -m Testing.slicer.descriptions"
    assert descriptions.OWNER_AND_NAME.fullmatch(descriptions.repository())


def test_a_new_address_reaches_every_description_and_no_foreign_address(tmp_path):
    for name in descriptions.FILES:
        shutil.copy(ROOT / name, tmp_path)
    assert descriptions.write(tmp_path, "someone-else/SlicerElsewhere") == list(descriptions.FILES)
    assert descriptions.out_of_step(tmp_path) == []
    texts = "".join((tmp_path / name).read_text() for name in descriptions.FILES)
    assert descriptions.repository() not in texts
    assert SCHEMA in texts
    for name in descriptions.FILES:
        before, after = (ROOT / name).read_text(), (tmp_path / name).read_text()
        assert after.replace("someone-else/SlicerElsewhere", descriptions.repository()) == before


def test_an_address_that_the_index_would_refuse_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="starts with 'Slicer'"):
        descriptions.write(tmp_path, "someone/Speckle2Self")


def test_a_description_out_of_step_is_named(tmp_path):
    for name in descriptions.FILES:
        shutil.copy(ROOT / name, tmp_path)
    entry = tmp_path / "Speckle2Self.json"
    entry.write_text(entry.read_text().replace(descriptions.repository(), "other/SlicerOther"))
    assert descriptions.out_of_step(tmp_path) == ["Speckle2Self.json"]


def test_every_address_leads_to_the_repository_and_carries_no_parameters(cmake, s4ext, catalog):
    repository = descriptions.repository()
    pages, raw = f"https://github.com/{repository}", f"https://raw.githubusercontent.com/{repository}/main/"
    values = {name: value for name, value in cmake.items() if name.startswith("EXTENSION_")}
    texts = [*values.values(), *s4ext.values(), *(str(value) for key, value in catalog.items() if key != "$schema")]
    addresses = {address for text in texts for address in re.findall(r"https?://[^\s'\"]+", text)}
    assert addresses == {pages, f"{pages}.git"} | {address for address in addresses if address.startswith(raw)}
    assert not [address for address in addresses if set(address) & set("&?;")]


def test_the_older_description_repeats_the_cmake_file(cmake, s4ext):
    same = set(S4EXT_KEYS) - {"scm", "scmurl", "scmrevision", "build_subdirectory", "enabled"}
    assert {key: s4ext[key] for key in same} == {key: cmake[f"EXTENSION_{key.upper()}"] for key in same}
    assert s4ext["scmurl"] == f"{cmake['EXTENSION_HOMEPAGE']}.git"
    assert (s4ext["scm"], s4ext["build_subdirectory"], s4ext["enabled"]) == ("git", ".", "1")


def test_the_older_description_has_each_key_once_and_on_one_line():
    assert [key for key, _ in s4ext_values(ROOT / "Speckle2Self.s4ext")] == S4EXT_KEYS


def test_the_catalog_entry_says_what_the_other_descriptions_say(cmake, s4ext, catalog):
    assert catalog["build_dependencies"] == cmake["EXTENSION_DEPENDS"].split()
    assert catalog["category"] == cmake["EXTENSION_CATEGORY"]
    assert catalog["dicom_support_rule"] == cmake["EXTENSION_DICOM_SUPPORT_RULE"]
    assert str(catalog["tier"]) == cmake["EXTENSION_TIER"]
    assert (catalog["scm_url"], catalog["scm_revision"]) == (s4ext["scmurl"], s4ext["scmrevision"])
    assert (catalog["scm_type"], catalog["build_subdirectory"]) == (s4ext["scm"], s4ext["build_subdirectory"])
    assert str(int(catalog["enabled"])) == s4ext["enabled"]


def test_the_catalog_entry_keeps_to_its_schema(catalog):
    assert catalog["$schema"] == SCHEMA
    assert set(catalog) <= set(CATALOG_KEYS)
    assert {key: type(value) for key, value in catalog.items()} == {key: CATALOG_KEYS[key] for key in catalog}
    assert {"$schema", "category", "scm_url"} <= set(catalog)
    assert 1 <= catalog["tier"] <= 5


@pytest.mark.parametrize("name", descriptions.FILES)
def test_descriptions_are_plain_lines(name):
    content = (ROOT / name).read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    assert content.decode("ascii")


def test_the_extension_and_its_repository_are_named_as_the_index_wants_it(cmake_text, catalog):
    """The extension's name must not start with "Slicer", the repository's must, and project() has the entry's name."""
    assert re.findall(r"project\s*\(\s*([^\s)]+)", cmake_text) == ["Speckle2Self"]
    assert (ROOT / "Speckle2Self.json").is_file()
    assert catalog["scm_url"].startswith("https://")
    assert catalog["scm_url"].rsplit("/", 1)[1].startswith("Slicer")


def test_category_and_dependencies_exist_in_the_index(catalog):
    accepted = {"Filtering", "Segmentation", "Ultrasound"}  # among others
    assert catalog["category"] in accepted
    assert catalog["build_dependencies"] == ["PyTorch"]


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_addresses_of_pictures_are_one_quoted_string_that_the_index_can_read(cmake_text, name):
    """The index takes the text between the quotes as it is: without a line break, and without variables."""
    (value,) = re.findall(rf'set\s*\(EXTENSION_{name}\s*"([^"]+)"\)', cmake_text)
    assert "\n" not in value
    assert "$" not in value


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_the_pictures_of_the_descriptions_are_png_files_in_the_repository(cmake, name):
    raw = f"https://raw.githubusercontent.com/{descriptions.repository()}/main/"
    addresses = cmake[f"EXTENSION_{name}"].split()
    assert addresses
    for address in addresses:
        with Image.open(ROOT / address.removeprefix(raw)) as picture:
            assert picture.format == "PNG"
            assert name != "ICONURL" or picture.size == (128, 128)


def test_every_screenshot_is_in_the_descriptions(cmake):
    folder = "Speckle2SelfSlicer/Resources/Screenshots"
    listed = {address.rsplit("/", 1)[1] for address in cmake["EXTENSION_SCREENSHOTURLS"].split() if folder in address}
    assert listed == {"panel.png", "comparison.png"}
    assert {path.name for path in (ROOT / folder).glob("*")} <= listed


def test_the_description_for_people_is_short_plain_and_honest(cmake):
    description = cmake["EXTENSION_DESCRIPTION"]
    assert 50 < len(description) < 400
    assert ";" not in description  # CMake would split it there
    assert "not for diagnosis" in description
    assert cmake["EXTENSION_CONTRIBUTORS"] == "Speckle2Self developers"


def test_a_licence_is_in_the_root():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a git checkout")
def test_a_clone_stays_far_below_the_limit_of_100_mb():
    """The index counts the files and their history, as one clone has both.

    Only what the commit leads to is counted: a clone made by hard links has forgotten objects of its source as well.
    """
    asked = ["git", "rev-list", "--objects", "--disk-usage", "HEAD"]
    history = int(subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = sum((ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file())
    assert (files + history) / 1e6 < 80
