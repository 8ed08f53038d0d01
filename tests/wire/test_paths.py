"""Which endpoint a path means."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.wire.paths import Paths

PATHS = Paths(
    [
        ("/health", "health"),
        ("/api/send-sms", "send"),
        ("/api/messages", "list"),
        ("/api/messages/latest", "latest"),
        ("/api/messages/{id}", "one"),
        ("/api/with/{phone}", "with"),
        ("/a/{x}/b/{y}", "two"),
    ]
)


@dataclass(frozen=True, slots=True)
class PathCase:
    name: str
    raw: str
    target: str | None
    params: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name


CASES = [
    PathCase("a path as it is written", "/api/send-sms", "send"),
    PathCase("a trailing slash changes nothing", "/api/send-sms/", "send"),
    PathCase("two trailing slashes are another path", "/api/send-sms//", None),
    PathCase("a doubled slash is another path", "//api/send-sms", None),
    PathCase("letter case matters", "/API/send-sms", None),
    PathCase("an encoded letter is that letter", "/api/send%2Dsms", "send"),
    PathCase("an encoded slash divides nothing", "/api%2Fsend-sms", None),
    PathCase("the root is unknown", "/", None),
    PathCase("an empty path is unknown", "", None),
    PathCase("an asterisk is unknown", "*", None),
    PathCase("a prefix is unknown", "/api", None),
    PathCase("more than the path is unknown", "/api/send-sms/x", None),
    PathCase("a literal path wins over a parameter", "/api/messages/latest", "latest"),
    PathCase("a parameter is one segment", "/api/messages/17", "one", (("id", "17"),)),
    PathCase("a parameter with a trailing slash", "/api/messages/17/", "one", (("id", "17"),)),
    PathCase("a parameter is not empty", "/api/with/", None),
    PathCase("nor is it empty between slashes", "/api/with//", None),
    PathCase("%2B is a plus sign", "/api/with/%2B12025550101", "with", (("phone", "+12025550101"),)),
    PathCase("a plus sign is itself", "/api/with/+12025550101", "with", (("phone", "+12025550101"),)),
    PathCase("%2F stays within its segment", "/api/with/a%2Fb", "with", (("phone", "a/b"),)),
    PathCase("%252B is decoded once", "/api/with/%252B1", "with", (("phone", "%2B1"),)),
    PathCase("UTF-8 is decoded", "/api/with/%C3%A9", "with", (("phone", "é"),)),
    PathCase("what is not UTF-8 becomes a lone surrogate", "/api/with/%FF", "with", (("phone", "\udcff"),)),
    PathCase("%00 reaches the field check", "/api/with/%00", "with", (("phone", "\0"),)),
    PathCase("a percent sign without digits is itself", "/api/with/%zz", "with", (("phone", "%zz"),)),
    PathCase("two parameters", "/a/1/b/2", "two", (("x", "1"), ("y", "2"))),
    PathCase("two parameters around another literal", "/a/1/c/2", None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_path_means(case: PathCase) -> None:
    found = PATHS.find(case.raw.encode("latin-1"))
    if case.target is None:
        assert found is None
    else:
        assert found is not None
        assert (found.target, tuple(found.params.items())) == (case.target, case.params)


@pytest.mark.parametrize(
    "paths",
    [("/a", "/a"), ("/a/{x}", "/a/{y}"), ("/a/",), ("a",), ("/",)],
    ids=["a path twice", "a pattern twice", "a trailing slash", "no leading slash", "the root"],
)
def test_what_nobody_can_serve_is_refused_at_the_start(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        Paths((path, path) for path in paths)


@given(st.binary(min_size=1, max_size=20))
def test_any_bytes_survive_as_a_parameter(value: bytes) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in value).encode("ascii")
    found = PATHS.find(b"/api/with/" + encoded)
    assert found is not None
    assert found.params["phone"].encode("utf-8", "surrogateescape") == value


@given(st.binary(max_size=40))
def test_no_path_is_too_strange_to_look_up(raw: bytes) -> None:
    PATHS.find(b"/" + raw)
