"""Every operator's command, beside a running `longcode up`, which sees it at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.http import Http
from tests.processes import Longcode, free_port, run_cli

DUMPS = Path(__file__).parents[1] / "encoding" / "data"
DUMP = DUMPS / "plivo_dump.sql"
PLIVO1 = ("plivo1", "20S0KPNOIM")
# Two numbers of the dump's first account, and one of its second.
OURS, OURS_TOO, THEIRS = "4924195509198", "4924195509196", "61871112946"
STRANGER = "447700900123"
LIMIT = 50

MINE = ("mine", "a secret")


@dataclass(frozen=True, slots=True)
class Operator:
    """One who types commands while the product runs."""

    data: Path
    http: Http

    def run(self, *args: str, status: int = 0, stdin: str = "") -> str:
        """Run a command; what it printed, standard output first."""
        done = run_cli(*args, "--data", str(self.data), stdin=stdin, status=status)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def lines(self, *args: str) -> list[dict[str, Any]]:
        """What a command gives with --json."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database answers to a query."""
        with closing(sqlite3.connect(f"file:{self.data}/longcode.db?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def everything(self) -> list[list[tuple[object, ...]]]:
        """All that the operator can set up."""
        tables = ("account", "api_key", "number", "sender_id", "carrier", "route", "opt_out", "catalog_version")
        return [self.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    env = {"LONGCODE_DEMO_SECRET": "demo secret"}
    with Longcode("up", "--data", str(folder / "data"), folder=folder, port=free_port(), env=env) as up:
        assert up.port is not None
        made = Operator(folder / "data", Http(up.port))
        name, secret = MINE
        made.run("account", "create", name, "--secret", secret)
        yield made


@pytest.fixture(scope="module")
def mine(operator: Operator) -> Http:
    """The account that the refusals and most commands are about."""
    return operator.http.basic(*MINE)


def test_an_account_with_a_given_secret_may_call_at_once(operator: Operator) -> None:
    printed = operator.run("account", "create", "gérard", "--secret", "très secret")
    assert printed == "account gérard\n"
    assert operator.http.basic("gérard", "très secret").call("GET", "/api/numbers/").status == 200
    assert operator.http.basic("gérard", "tres secret").call("GET", "/api/numbers/").status == 401


def test_an_account_without_one_gets_a_random_secret_that_is_printed_once_and_stored_hashed(
    operator: Operator,
) -> None:
    printed = operator.run("account", "create", "generated").split()
    assert printed[:3] == ["account", "generated", "secret"]
    secret = printed[3]
    assert len(secret) >= 32
    assert operator.http.basic("generated", secret).call("GET", "/api/numbers/").status == 200
    assert secret.encode() not in b"".join(path.read_bytes() for path in operator.data.iterdir())


def test_a_number_routes_as_soon_as_it_is_added(operator: Operator, mine: Http) -> None:
    assert mine.outbound("12025550111", STRANGER).json["error"] == "from parameter not found"
    assert operator.run("number", "add", "12025550111", "--account", "mine") == "number 12025550111 assigned to mine\n"
    assert mine.outbound("12025550111", STRANGER).json == {"message": "outbound sms ok", "error": ""}
    again = operator.run("number", "add", "12025550111", "--account", "mine")
    assert again == "number 12025550111 was assigned already to mine\n"


def test_a_sender_id_counts_as_soon_as_it_is_added(operator: Operator, mine: Http) -> None:
    refused = mine.create("sender-1", STRANGER, sender_id="Mine")
    assert (refused.status, list(refused.json)) == (400, ["sender_id"])
    operator.run("sender", "add", "Mine", "--account", "mine")
    assert mine.create("sender-1", STRANGER, sender_id="Mine").status == 201
    assert mine.create("sender-2", STRANGER, sender_id="MINE").status == 400
    assert "already" in operator.run("sender", "add", "Mine", "--account", "mine")


def test_an_api_key_is_a_bearer_and_is_stored_hashed(operator: Operator) -> None:
    key = operator.run("apikey", "create", "--account", "mine").strip()
    assert operator.http.bearer(key).call("GET", "/api/numbers/").status == 200
    assert operator.http.bearer(key[:-1]).call("GET", "/api/numbers/").status == 401
    assert key.encode() not in b"".join(path.read_bytes() for path in operator.data.iterdir())


def test_an_opted_out_recipient_is_refused_at_once_however_it_is_spelled(operator: Operator) -> None:
    demo = operator.http.basic("demo", "demo secret")
    assert demo.create("before", "+447700900150").status == 201
    operator.run("optout", "add", "+44 7700 900150", "--account", "demo")
    refused = demo.create("after", "447700900150")
    assert (refused.status, refused.json) == (400, {"recipient": ["has opted out"]})
    assert demo.create("before", "+447700900150").status == 200
    assert "already" in operator.run("optout", "add", "447700900150", "--account", "demo")


def test_a_number_is_listed_and_released_and_another_account_may_have_it(operator: Operator, mine: Http) -> None:
    operator.run("account", "create", "next", "--secret", "s")
    operator.run("number", "add", "12025550161", "--account", "mine")
    operator.run("number", "add", "12025550162", "--account", "mine")
    assert "released by mine" in operator.run("number", "release", "+1 202 555-0161", "--account", "mine")
    listed = {line["value"]: line["assigned"] for line in operator.lines("number", "list", "--account", "mine")}
    assert (listed["12025550161"], listed["12025550162"]) == (False, True)
    assert mine.outbound("12025550161", STRANGER).json["error"] == "from parameter not found"
    assert "12025550161\tno\n" in operator.run("number", "list", "--account", "mine")
    operator.run("number", "add", "12025550161", "--account", "next")
    assert operator.http.basic("next", "s").outbound("12025550161", STRANGER).status == 200


def test_a_sender_id_and_an_opt_out_are_listed_and_taken_back_at_once(operator: Operator) -> None:
    demo = operator.http.basic("demo", "demo secret")
    operator.run("sender", "add", "Passing", "--account", "demo")
    operator.run("optout", "add", "+447700900161", "--account", "demo")
    assert {"sender": "Passing"} in operator.lines("sender", "list", "--account", "demo")
    opted_out = {line["recipient"]: line for line in operator.lines("optout", "list", "--account", "demo")}
    assert opted_out["447700900161"]["source"] == "operator"
    assert opted_out["447700900161"]["created_at"].endswith("Z")
    assert "again" in operator.run("optout", "remove", "447700900161", "--account", "demo")
    assert demo.create("removed-1", "+447700900161", sender_id="Passing").status == 201
    assert "removed" in operator.run("sender", "remove", "Passing", "--account", "demo")
    assert demo.create("removed-2", "+447700900161", sender_id="Passing").status == 400


def test_a_secret_and_an_api_key_are_rotated_and_the_old_ones_end_within_15_seconds(operator: Operator) -> None:
    operator.run("account", "create", "turning", "--secret", "old")
    assert [line["name"] for line in operator.lines("account", "list")].count("turning") == 1
    given = operator.run("account", "secret", "turning", "--secret", "given")
    assert given.startswith("account turning has a new secret")
    assert "15 seconds" in given
    assert "given" not in given
    assert operator.http.basic("turning", "given").call("GET", "/api/numbers/").status == 200
    assert operator.http.basic("turning", "old").call("GET", "/api/numbers/").status == 401
    secret = operator.run("account", "secret", "turning").splitlines()[1].removeprefix("secret ")
    assert operator.http.basic("turning", secret).call("GET", "/api/numbers/").status == 200

    leaked, kept = (operator.run("apikey", "create", "--account", "turning").strip() for _ in range(2))
    assert [line["hint"] for line in operator.lines("apikey", "list", "--account", "turning")] == [
        leaked[:8],
        kept[:8],
    ]
    assert "15 seconds" in operator.run("apikey", "revoke", leaked[:8], "--account", "turning")
    assert operator.http.bearer(leaked).call("GET", "/api/numbers/").status == 401
    assert operator.http.bearer(kept).call("GET", "/api/numbers/").status == 200
    [first, second] = operator.lines("apikey", "list", "--account", "turning")
    assert (first["revoked_at"][-1], second["revoked_at"]) == ("Z", None)
    assert "revoked already" in operator.run("apikey", "revoke", str(first["id"]), "--account", "turning", status=1)
    assert kept not in operator.run("apikey", "revoke", str(second["id"]), "--account", "turning")


def test_a_route_takes_messages_to_its_carrier_at_once(operator: Operator) -> None:
    operator.run("carrier", "add", "second", "--driver", "simulator")
    printed = operator.run("route", "add", "--carrier", "second", "--prefix", "+4477009007", "--account", "demo")
    assert printed == "route 2: 4477009007 → second\n"
    demo = operator.http.basic("demo", "demo secret")
    for key, recipient in (("routed", "+447700900701"), ("unrouted", "+447700900801")):
        assert demo.create(key, recipient).status == 201
    carriers = operator.rows(
        "SELECT client_reference, carrier.name FROM message JOIN attempt ON message_id = message.id "
        "JOIN carrier ON carrier.id = carrier_id WHERE client_reference IN ('routed', 'unrouted') "
        "UNION SELECT client_reference, carrier.name FROM message JOIN outbox ON message_id = message.id "
        "JOIN carrier ON carrier.id = carrier_id WHERE client_reference IN ('routed', 'unrouted') ORDER BY 1"
    )
    assert carriers == [("routed", "second"), ("unrouted", "simulator")]


def test_numbers_come_out_of_a_csv_file_and_a_conflict_is_told_and_spares_the_rest(
    operator: Operator, mine: Http, tmp_path: Path
) -> None:
    file = tmp_path / "numbers.csv"
    file.write_bytes("\ufeffcity,value,account\r\nDC,12025550131,mine\r\nDC,12025550132,demo\r\n".encode())
    assert operator.run("number", "import", str(file)) == "numbers: 2 added, 0 unchanged, 0 in conflict\n"
    assert mine.outbound("12025550131", STRANGER).status == 200
    assert mine.outbound("12025550132", STRANGER).status == 404

    file.write_text("value\n12025550131\n12025550132\n12025550133\n")
    printed = operator.run("number", "import", str(file), "--account", "mine", status=1)
    assert "numbers: 1 added, 1 unchanged, 1 in conflict\n12025550132: " in printed
    assert mine.outbound("12025550133", STRANGER).status == 200


@pytest.mark.parametrize("name", ["plivo_dump.sql", "plivo_dump_inserts.sql"])
def test_both_forms_of_the_dump_bring_five_accounts_and_79_numbers_and_are_repeatable(
    operator: Operator, name: str
) -> None:
    first = operator.run("import", "plivo", str(DUMPS / name))
    second = operator.run("import", "plivo", str(DUMPS / name))
    assert first.count("5 ") == first.count("79 ") == 1
    assert second == ("accounts: 0 added, 0 changed, 5 unchanged\nnumbers: 0 added, 79 unchanged, 0 in conflict\n")
    of_plivo = "FROM account LEFT JOIN number ON account_id = account.id WHERE name LIKE 'plivo%'"
    assert operator.rows(f"SELECT count(DISTINCT name), count(value), count(DISTINCT value) {of_plivo}") == [
        (5, 79, 79)
    ]


def test_an_account_of_the_dump_receives_is_stopped_sends_and_meets_its_limit(operator: Operator) -> None:
    operator.run("import", "plivo", str(DUMP))
    plivo1 = operator.http.basic(*PLIVO1)
    assert plivo1.inbound(STRANGER, OURS, "are you there?").json == {"message": "inbound sms ok", "error": ""}
    assert plivo1.inbound(STRANGER, OURS, "STOP\r\n").json == {"message": "inbound sms ok", "error": ""}

    blocked = plivo1.outbound(OURS, STRANGER)
    assert (blocked.status, blocked.json["error"]) == (
        400,
        f"sms from {OURS} to {STRANGER} blocked by STOP request",
    )
    assert plivo1.outbound(OURS_TOO, STRANGER).status == 200
    not_ours = plivo1.outbound(THEIRS, "447700900124")
    assert (not_ours.status, not_ours.json["error"]) == (404, "from parameter not found")

    sent = [plivo1.outbound(OURS, "447700900124", f"number {count}") for count in range(LIMIT)]
    assert [reply.json for reply in sent] == [{"message": "outbound sms ok", "error": ""}] * LIMIT
    over = plivo1.outbound(OURS, "447700900124")
    assert (over.status, over.json["error"]) == (429, f"limit reached for from {OURS}")
    assert 0 < int(over.headers["retry-after"]) <= 86400

    conversation = plivo1.call("GET", f"/api/get-conversation/{STRANGER}").json["messages"]
    assert [line["message_text"] for line in conversation] == ["are you there?", "STOP\r\n", "hello"]
    assert operator.http.basic("plivo1", PLIVO1[1].lower()).inbound(STRANGER, OURS).status == 403


def test_the_dumps_secret_replaces_another_and_its_numbers_stay_where_they_are(
    operator: Operator, tmp_path: Path
) -> None:
    def dump(auth_id: str, number: str) -> str:
        file = tmp_path / "dump.sql"
        file.write_text(
            f"INSERT INTO account (id, auth_id, username) VALUES (7, '{auth_id}', 'changing');\n"
            f"INSERT INTO phone_number (id, number, account_id) VALUES (1, '{number}', 7);\n"
        )
        return str(file)

    assert "1 added" in operator.run("import", "plivo", dump("first", "12025550141"))
    assert "1 changed" in operator.run("import", "plivo", dump("second", "12025550142"))
    changed = operator.http.basic("changing", "second")
    assert [changed.outbound(number, STRANGER).status for number in ("12025550141", "12025550142")] == [200, 200]
    assert operator.http.basic("changing", "first").outbound("12025550141", STRANGER).status == 403

    conflict = operator.run("import", "plivo", dump("second", "12025550101"), status=1)
    assert "1 in conflict\n12025550101: the number is assigned to another account" in conflict


def test_rows_of_a_dump_that_nobody_could_use_are_skipped_and_told_and_the_others_come(
    operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "dump.sql"
    file.write_text(
        "COPY account FROM stdin;\n1\tpart\tpartial\n2\t\\N\tsecretless\n3\tx\ta:b\n\\.\n"
        "INSERT INTO phone_number VALUES (1, '12025550151', 1),\n(2, '+12025550151', 1),\n"
        "(3, '12025550152', 2),\n(4, 'HELP', 1),\n(5, '12025550153', NULL);"
    )
    skipped = (
        "skipped: line 3: account.auth_id is null\n"
        "skipped: line 4: account.username cannot be used: an account's name is 1 to 255 "
        "printable characters without a colon\n"
        "skipped: line 7: phone_number.number is the one on line 6, which the account has already\n"
        "skipped: line 8: phone_number.account_id is that of an account that was skipped\n"
        "skipped: line 9: phone_number.number is not a number of 6 to 20 digits\n"
        "skipped: line 10: phone_number.account_id is null\n"
    )
    assert operator.run("import", "plivo", str(file)) == (
        "accounts: 1 added, 0 changed, 0 unchanged, 2 skipped\n"
        "numbers: 1 added, 0 unchanged, 0 in conflict, 4 skipped\n" + skipped
    )
    assert operator.run("import", "plivo", str(file)) == (
        "accounts: 0 added, 0 changed, 1 unchanged, 2 skipped\n"
        "numbers: 0 added, 1 unchanged, 0 in conflict, 4 skipped\n" + skipped
    )
    assert operator.http.basic("partial", "part").outbound("12025550151", STRANGER).status == 200


@dataclass(frozen=True, slots=True)
class RefusalCase:
    """A command that ends with `status`, says what is wrong and changes nothing.

    args: {name} stands for the path of a file of that name. says: each is in what it prints.
    """

    what: str
    args: tuple[str, ...]
    says: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    status: int = 1


TO_MINE = ("--account", "mine")
ANSWER = ("--means", "answer", "--reply")
IMPORT = ("number", "import", "{numbers.csv}")
PLIVO = ("import", "plivo", "{dump.sql}")

REFUSALS = [
    RefusalCase("an account that there is already", ("account", "create", "mine"), ("an account mine already",)),
    RefusalCase("an account's name with a colon", ("account", "create", "a:b"), ("without a colon",)),
    RefusalCase("an account's name with a control character", ("account", "create", "a\x1bb"), ("printable",)),
    RefusalCase("an account's name that goes on", ("account", "create", "a" * 256), ("1 to 255",)),
    RefusalCase("a secret that is empty", ("account", "create", "bare", "--secret", ""), ("may not be empty",)),
    RefusalCase("a new secret that is empty", ("account", "secret", "mine", "--secret", ""), ("may not be empty",)),
    RefusalCase("a number of nobody's", ("number", "add", "12025550199", "--account", "no"), ("no account no",)),
    RefusalCase(
        "a number with letters", ("number", "add", "1202555HELP", *TO_MINE), ("'1202555HELP' is not a number",)
    ),
    RefusalCase("a number of another account", ("number", "add", "1 (202) 555-0101", *TO_MINE), ("another account",)),
    RefusalCase("numbers without a file", ("number", "import", "no.csv"), ("No such file",), status=2),
    RefusalCase("numbers without a column", IMPORT, ("no column `value`",), {"numbers.csv": b"number\n12025550199\n"}),
    RefusalCase(
        "numbers in two columns of one name",
        (*IMPORT, *TO_MINE),
        ("the column 'value' twice",),
        {"numbers.csv": b"value,value\n12025550199,12025550198\n"},
    ),
    RefusalCase("numbers that are not UTF-8", (*IMPORT, *TO_MINE), ("UTF-8",), {"numbers.csv": b"value\n\xe9\n"}),
    RefusalCase(
        "numbers of which some are none, or have cells too many, each by its line",
        (*IMPORT, *TO_MINE),
        ("line 3: '12' is not a number", "line 4: 'abc' is not a number", "line 5: more fields than columns"),
        {"numbers.csv": b"value\n12025550199\n12\nabc\n12025550198,mine\n"},
    ),
    RefusalCase(
        "numbers behind a quote that nobody closes",
        (*IMPORT, *TO_MINE),
        ("is not CSV",),
        {"numbers.csv": b'value\n12025550199\n12025550198\n"12025550197\n'},
    ),
    RefusalCase(
        "numbers of accounts that there are not, each by its name",
        IMPORT,
        ("line 5: '12' is not", "line 6: 'mi\\x00ne' is no account's name", "no account no", "no account nor"),
        {
            "numbers.csv": b"value,account\n12025550199,mine\n12025550198,no\n12025550197,nor\n12,mine\n"
            b"12025550196,mi\0ne\n"
        },
    ),
    RefusalCase("numbers of no account", IMPORT, ("line 2: no account",), {"numbers.csv": b"value\n12025550199\n"}),
    RefusalCase(
        "an account for the rest that there is not, though every row names its own",
        (*IMPORT, "--account", "nosuch"),
        ("no account nosuch",),
        {"numbers.csv": b"value,account\n12025550199,mine\n"},
    ),
    RefusalCase(
        "a number that is another account's", ("number", "release", "12025550101", *TO_MINE), ("not assigned",)
    ),
    RefusalCase("a name that is not UTF-8", ("account", "secret", "\udcff"), ("'\\udcff' is not UTF-8",)),
    RefusalCase("a text that is not UTF-8", ("keyword", "add", "x", *ANSWER, "\udcff", *TO_MINE), ("not UTF-8",)),
    RefusalCase("a secret for nobody", ("account", "secret", "no"), ("no account no",)),
    RefusalCase("an API key that there is not", ("apikey", "revoke", "lck_none", *TO_MINE), ("no API key lck_none",)),
    RefusalCase("a sender ID that is not there", ("sender", "remove", "No", *TO_MINE), ("not in the whitelist",)),
    RefusalCase("an opt-out that is not there", ("optout", "remove", STRANGER, *TO_MINE), ("has not opted out",)),
    RefusalCase("a sender ID that is too long", ("sender", "add", "x" * 65, *TO_MINE), ("1 to 64",)),
    RefusalCase("a carrier that there is", ("carrier", "add", "simulator", "--driver", "simulator"), ("already",)),
    RefusalCase(
        "a carrier of no driver", ("carrier", "add", "x", "--driver", "pigeon"), ("'pigeon' is not",), status=2
    ),
    RefusalCase(
        "settings that the driver has not", ("carrier", "add", "x", "--driver", "simulator", "speed=9"), ("speed",)
    ),
    RefusalCase("a route to no carrier", ("route", "add", "--carrier", "no"), ("no carrier no",)),
    RefusalCase("ways of what has no digits", ("route", "test", "nobody"), ("nobody is no number",)),
    RefusalCase(
        "a keyword with faults of every kind, and of nobody's",
        ("keyword", "add", "stop", "--means", "nothing", "--reply", "x", "--account", "no"),
        ("stop always asks to stop", "has no reply", "no account no"),
    ),
    RefusalCase(
        "a webhook with faults of every kind, and of nobody's",
        ("webhook", "add", "ftp://x.example/", "--events", "message.lost", "--account", "no"),
        ("https://", "there is no message.lost; there are message.queued", "no account no"),
    ),
    RefusalCase("a prefix of letters", ("route", "add", "--carrier", "simulator", "--prefix", "44x"), ("15 digits",)),
    RefusalCase("an opt-out of nobody's", ("optout", "add", STRANGER, "--account", "no"), ("no account no",)),
    RefusalCase("a dump that is cut in a row", PLIVO, ("line 170: 2 values",), {"dump.sql": DUMP.read_bytes()[:3300]}),
    RefusalCase(
        "a dump that is cut between rows", PLIVO, ("truncated",), {"dump.sql": DUMP.read_bytes().partition(b"33\t")[0]}
    ),
    RefusalCase("a dump that is not one", PLIVO, ("line 1",), {"dump.sql": b"\x00\xff\x00"}),
    RefusalCase(
        "a file that is no dump at all",
        PLIVO,
        ("line 3: ", "; this is not a PostgreSQL dump"),
        {"dump.sql": b"# Read me\n\nIt's a text.\n"},
    ),
    RefusalCase(
        "a dump whose last rows do not end, though every row is whole",
        PLIVO,
        ("truncated",),
        {"dump.sql": b"COPY account FROM stdin;\n1\tx\tuncounted\n"},
    ),
]


@pytest.fixture(scope="module")
def refusals(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What each refused command printed, by its case; two at a time, because each takes a second."""

    def refused(case: RefusalCase) -> str:
        folder = tmp_path_factory.mktemp("refused")
        args = list(case.args)
        for name, content in case.files.items():
            (folder / name).write_bytes(content)
            args = [arg.replace(f"{{{name}}}", str(folder / name)) for arg in args]
        return operator.run(*args, status=case.status)

    before = operator.everything()
    with ThreadPoolExecutor(2) as pool:
        printed = dict(zip([case.what for case in REFUSALS], pool.map(refused, REFUSALS), strict=True))
    assert operator.everything() == before, "a refused command changed something"
    return printed


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.what)
def test_a_refused_command_says_what_is_wrong_and_changes_nothing(
    case: RefusalCase, refusals: Mapping[str, str]
) -> None:
    for sentence in case.says:
        assert sentence in refusals[case.what]


def test_the_sql_of_a_dump_is_passed_over_and_what_looks_like_sql_is_a_name(operator: Operator, tmp_path: Path) -> None:
    name = "'); DROP TABLE account; --"
    quoted = name.replace("'", "''")
    file = tmp_path / "hostile.sql"
    file.write_text(
        "DROP TABLE account;\nDELETE FROM number;\nDROP TABLE number;\n"
        f"INSERT INTO account (id, auth_id, username) VALUES (1, 'secret', '{quoted}');\n"
    )
    [numbers] = operator.rows("SELECT count(*) FROM number")
    assert "accounts: 1 added" in operator.run("import", "plivo", str(file))
    assert operator.http.basic(name, "secret").call("GET", "/api/numbers/").status == 200
    assert operator.rows("SELECT count(*) FROM number") == [numbers]
