"""The deployment files say what the documentation promises, in words that Compose 1.25 knows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longcode.settings import PREFIX, Settings
from longcode.web.server import DRAIN_SECONDS
from tests.deploy.compose import DEVELOPMENT, DOCKERFILE, PRODUCTION, ROOT, Service, read, services
from tests.processes import free_port

NGINX = ROOT / "deploy" / "nginx.conf"
SECRETS = ROOT / "deploy" / "secrets.sh"
OURS = ("migrate", "serve", "worker", "beat", "link")

# What of each format these files may use: Compose 1.25 stops at a key that its format does not have.
BOTH = frozenset(
    {
        "build",
        "command",
        "cap_drop",
        "depends_on",
        "entrypoint",
        "environment",
        "healthcheck",
        "image",
        "init",
        "ports",
        "read_only",
        "restart",
        "security_opt",
        "shm_size",
        "stop_grace_period",
        "stop_signal",
        "tmpfs",
        "volumes",
    }
)
SERVICE_KEYS: Mapping[str, frozenset[str]] = {"2.4": BOTH | {"scale"}, "3.7": BOTH | {"networks", "secrets"}}
TOP_KEYS: Mapping[str, frozenset[str]] = {
    "2.4": frozenset({"version", "services", "volumes"}),
    "3.7": frozenset({"version", "services", "volumes", "networks", "secrets"}),
}
BUILD_KEYS = {"context", "target"}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period", "disable"}
CONDITIONS = {"service_started", "service_healthy"}


@dataclass(frozen=True, slots=True)
class File:
    """A Compose file and its format."""

    path: Path
    version: str

    def __str__(self) -> str:
        return self.path.name

    @property
    def content(self) -> Mapping[str, Any]:
        return read(self.path)

    @property
    def services(self) -> Mapping[str, Service]:
        return services(self.path)


FILES = (File(DEVELOPMENT, "2.4"), File(PRODUCTION, "3.7"))
each_file = pytest.mark.parametrize("file", FILES, ids=str)


@each_file
def test_compose_1_25_knows_every_key(file: File) -> None:
    content = file.content
    assert content["version"] == file.version
    assert {name for name in content if not name.startswith("x-")} <= TOP_KEYS[file.version]
    for service in file.services.values():
        assert set(service.raw) <= SERVICE_KEYS[file.version], service.name
        assert set(service.raw.get("build", {})) <= BUILD_KEYS, service.name
        assert set(service.raw.get("healthcheck", {})) <= HEALTH_KEYS, service.name
        after = service.raw.get("depends_on", [])
        if isinstance(after, dict):
            assert file.version == "2.4", "format 3 has a plain list"
            assert {how["condition"] for how in after.values()} <= CONDITIONS, service.name


@each_file
def test_the_services_of_a_deployment_are_there(file: File) -> None:
    assert {"postgres", "valkey", *OURS} <= set(file.services)
    for name in ("serve", "worker", "beat", "link"):
        assert file.services[name].command[:2] == ("longcode", name)


@each_file
def test_every_image_is_built_here_or_pinned_to_a_tag(file: File) -> None:
    for service in file.services.values():
        image = service.raw.get("image")
        assert ("build" in service.raw) != (image is not None), service.name
        assert image is None or re.fullmatch(r"[a-z/]+:[0-9][0-9a-z.-]*", image), image
    for image in re.findall(r"^FROM (\S+:\S+)", DOCKERFILE.read_text("utf-8"), re.MULTILINE):
        assert re.fullmatch(r"python:3\.1[123]-slim-[a-z]+", image), image


@each_file
def test_valkey_forgets_nothing(file: File) -> None:
    valkey = file.services["valkey"].raw
    given = dict(zip(valkey["command"][1::2], valkey["command"][2::2], strict=True))
    assert given["--appendonly"] == "yes"
    assert given["--maxmemory-policy"] == "noeviction"
    assert valkey["volumes"] == ["valkey:/data"]


@each_file
def test_postgresql_keeps_its_data_where_its_image_says(file: File) -> None:
    # From 18 on the image refuses a volume at /var/lib/postgresql/data.
    assert file.services["postgres"].raw["volumes"] == ["postgres:/var/lib/postgresql"]


@each_file
def test_every_setting_exists(file: File) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        environment = file.services[name].environment
        assert set(environment) <= known, name
        assert all(isinstance(value, str) for value in environment.values()), name


@each_file
def test_all_processes_seal_with_one_key(file: File) -> None:
    for name in OURS:
        service = file.services[name]
        given = service.environment.get("LONGCODE_SECRET_KEY_FILE")
        assert given == "/run/secrets/longcode_secret_key" or service.raw["volumes"] == ["longcode:/data"], name


@each_file
def test_a_draining_process_is_given_its_time(file: File) -> None:
    for name in OURS:
        raw = file.services[name].raw
        assert int(raw["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS, name
        # The first process of a container ignores SIGTERM until it says otherwise; an init does not.
        assert raw["init"] is True, name


@each_file
def test_our_processes_have_no_privileges(file: File) -> None:
    for name in OURS:
        assert file.services[name].raw["cap_drop"] == ["ALL"], name
    assert re.search(r"^USER longcode$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)


@each_file
def test_processes_outlive_a_slow_start_of_others(file: File) -> None:
    for name in OURS:
        service = file.services[name]
        # Beat needs the broker only, which it waits for by itself.
        assert name == "beat" or "--wait" in " ".join(service.command), name
        assert service.raw["restart"] in ("on-failure", "unless-stopped"), name


@each_file
def test_every_lasting_service_has_a_health_check(file: File) -> None:
    for service in file.services.values():
        if service.name in ("migrate", "tests"):
            continue
        assert service.health, service.name


@each_file
def test_workers_and_their_clock_are_healthy_only_while_they_do_something(file: File) -> None:
    for name in ("worker", "beat"):
        assert file.services[name].health == ("longcode", "doctor", "--here", "--process", name)


def test_development_is_published_on_loopback_only_because_demo_needs_no_credentials() -> None:
    found = services(DEVELOPMENT)
    assert found["serve"].raw["ports"] == ["127.0.0.1:8080:8080", "127.0.0.1:5000:8080"]
    assert {name for name, service in found.items() if "ports" in service.raw} == {"serve"}
    assert found["serve"].environment["LONGCODE_ANONYMOUS_ACCOUNT"] == "demo"
    assert "longcode seed" in found["migrate"].command[-1]


def test_the_suite_has_a_service_that_up_does_not_start() -> None:
    tests = services(DEVELOPMENT)["tests"]
    assert tests.raw["scale"] == 0
    assert tests.raw["build"]["target"] == "tests"
    assert tests.command == ("python", "-m", "pytest")


def test_production_lets_nobody_be_anonymous_and_debugs_nothing() -> None:
    for name in OURS:
        environment = services(PRODUCTION)[name].environment
        assert not [given for given in environment if "ANONYMOUS" in given or "DEMO" in given], name
        assert environment["LONGCODE_LOG_LEVEL"] != "debug", name


def test_production_restarts_what_ends() -> None:
    for service in services(PRODUCTION).values():
        wanted = "on-failure" if service.name == "migrate" else "unless-stopped"
        assert service.raw["restart"] == wanted, service.name


def test_production_publishes_nothing_but_nginx_with_tls() -> None:
    found = services(PRODUCTION)
    assert {name: service.raw["ports"] for name, service in found.items() if "ports" in service.raw} == {
        "nginx": ["443:443"]
    }
    assert read(PRODUCTION)["networks"]["data"] == {"internal": True}
    for name in ("postgres", "valkey"):
        assert found[name].raw["networks"] == ["data"], name
    assert {name for name, service in found.items() if "carriers" in service.raw["networks"]} == {"link", "worker"}


def test_production_has_its_secrets_in_files_that_the_script_makes(tmp_path: Path) -> None:
    content = read(PRODUCTION)
    named = {name: entry["file"] for name, entry in content["secrets"].items()}
    assert named == {name: f"./deploy/secrets/{name}" for name in named}
    assert not re.search(r"postgresql://|PASSWORD: ", PRODUCTION.read_text("utf-8"))
    for service in services(PRODUCTION).values():
        assert set(service.raw.get("secrets", [])) <= set(named), service.name

    made = subprocess.run([SECRETS, tmp_path / "secrets"], check=True, capture_output=True, text=True)
    assert sorted(line.removeprefix("made ") for line in made.stdout.splitlines()) == sorted(named)
    before = dict(_contents(tmp_path / "secrets"))
    assert set(before) == set(named)
    assert before["postgres_password"].strip() in before["longcode_database_url"]
    again = subprocess.run([SECRETS, tmp_path / "secrets"], check=True, capture_output=True, text=True)
    assert again.stdout == "", "what exists stays"
    assert dict(_contents(tmp_path / "secrets")) == before
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_secrets_and_leftovers_stay_out_of_the_image_and_of_git() -> None:
    left_out = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {"deploy/secrets/*", ".git", ".venv", "data"} <= set(left_out)
    assert (ROOT / "deploy" / "secrets" / ".gitignore").read_text("utf-8").split() == ["*", "!.gitignore"]


def test_the_image_needs_no_buildkit_and_installs_by_hash() -> None:
    text = DOCKERFILE.read_text("utf-8")
    assert not re.search(r"^# *syntax|--mount|--chmod|<<", text, re.MULTILINE)
    installs = re.findall(r"pip install (.*)$", text, re.MULTILINE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or install == "--no-deps --no-build-isolation .", install
    assert text.rstrip().endswith("FROM run"), "what a plain build gives is the product, not its tests"


def test_nginx_adds_nothing_to_what_the_product_promises() -> None:
    text = NGINX.read_text("utf-8")
    assert set(re.findall(r"^ *proxy_pass (\S+);", text, re.MULTILINE)) == {"$longcode"}
    assert "default http://serve:8080;" in text
    for directive in (
        "access_log off;",  # paths hold phone numbers
        "merge_slashes off;",
        "proxy_next_upstream off;",  # nothing is sent twice
        "client_max_body_size 1m;",
        "ssl_certificate /run/secrets/tls_certificate;",
        "ssl_certificate_key /run/secrets/tls_key;",
        "location = /metrics {",
    ):
        assert directive in text, directive
    for answer in re.findall(r"return \d+ '(.*)';", text):
        assert answer.startswith('{"error":'), answer


def test_nginx_itself_accepts_its_configuration_where_it_is_installed(tmp_path: Path) -> None:
    nginx = shutil.which("nginx")
    text = NGINX.read_text("utf-8")
    assert text.count("{") == text.count("}")
    if nginx is None:
        return
    subprocess.run([SECRETS, tmp_path], check=True, capture_output=True)
    native = text.replace("/tmp/", f"{tmp_path}/").replace("/run/secrets/", f"{tmp_path}/")
    native = native.replace("listen 443 ssl", f"listen 127.0.0.1:{free_port()} ssl")
    (tmp_path / "nginx.conf").write_text(native.replace("127.0.0.1:8081", f"127.0.0.1:{free_port()}"))
    done = subprocess.run(
        [nginx, "-t", "-e", "/dev/stderr", "-c", tmp_path / "nginx.conf"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    for file in folder.iterdir():
        yield file.name, file.read_text("utf-8")
