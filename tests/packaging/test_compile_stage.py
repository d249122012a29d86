"""The Dockerfile with nothing prebuilt: the program is compiled within its first stage, on a Debian with Rust. What comes out is held to what
tests/e2e asks of the image."""

import pytest
from test_packaging_image import container, test_it_holds_one_static_program_and_what_that_needs, test_it_serves_as_it_stands_and_tells_its_health  # noqa: F401
from test_packaging_image import test_its_bill_of_materials_is_complete  # noqa: F401

import debian
from support.image import Image


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    variables = {**debian.WITHIN, **debian.of_cargo(), "CARGO_HOME": "/cargo", "CARGO_NET_OFFLINE": "true"}
    image = Image(tmp_path_factory.mktemp("image"), debian.root("rust"), variables, [(debian.REGISTRY, "/cargo/registry")])
    yield image
    image.remove()


def test_it_was_compiled_there(image):
    """Not taken from what lies about: Debian's Rust names itself in what it compiles."""
    said = debian.run("rust", ["rustc", "--version"]).split()[1]
    assert said.encode() in (image.root / "usr/share/doc/gatepost/gatepost.cdx.json").read_bytes()
