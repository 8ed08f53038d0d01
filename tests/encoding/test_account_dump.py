"""Accounts and numbers of a dump: unusable rows are skipped, and a damaged dump is refused with every fault named."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from longcode.encoding.account_dump import AccountDump, DumpAccount, DumpNumber, read_accounts
from longcode.encoding.sql_dump import DumpError

DATA = Path(__file__).parent / "data"
ACCOUNT = "INSERT INTO account (id, auth_id, username) VALUES "
NUMBER = "INSERT INTO phone_number (id, number, account_id) VALUES "
ONE = ACCOUNT + "(1, 'SECRET', 'ann');\n"


def read(dump: str) -> AccountDump:
    return read_accounts([dump.encode()])


@pytest.mark.parametrize("name", ["plivo_dump.sql", "plivo_dump_inserts.sql"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_the_real_dumps_give_5_accounts_and_79_numbers(name: str, newline: bytes) -> None:
    dump = read_accounts(io.BytesIO((DATA / name).read_bytes().replace(b"\n", newline)))
    assert [account.username for account in dump.accounts] == [
        "plivo1",
        "plivo2",
        "plivo3",
        "plivo4",
        "plivo5",
    ]
    assert len(dump.numbers) == 79
    assert dump.numbers[0] == DumpNumber(id=1, number="4924195509198", account_id=1)
    assert dump.numbers[-1] == DumpNumber(id=79, number="61871112940", account_id=5)


def test_columns_may_come_in_any_order_and_beside_others() -> None:
    dump = read(
        "COPY phone_number (account_id, note, number, id) FROM stdin;\n7\t\\N\t+12025550123\t3\n\\.\n"
        "INSERT INTO account (username, auth_id, extra, id) VALUES ('ann', 'SECRET', NULL, 7);"
    )
    assert dump.accounts == (DumpAccount(id=7, auth_id="SECRET", username="ann"),)
    assert dump.numbers == (DumpNumber(id=3, number="+12025550123", account_id=7),)


def test_the_credential_is_not_shown() -> None:
    assert "SECRET" not in repr(read(ONE))


@dataclass(frozen=True, slots=True)
class FaultCase:
    name: str
    dump: str
    line: int
    says: str

    def __str__(self) -> str:
        return self.name


FAULTS = [
    FaultCase("an empty dump", "", 1, "no rows of the table account"),
    FaultCase("an account id that is text", ACCOUNT + "('x', 'SECRET', 'ann');", 1, "account.id is not an integer"),
    FaultCase(
        "an account id that is a fraction",
        ACCOUNT + "(1.5, 'SECRET', 'ann');",
        1,
        "account.id is not an integer",
    ),
    FaultCase(
        "an account id of other digits",
        ACCOUNT + "('１', 'SECRET', 'ann');",
        1,
        "account.id is not an integer",
    ),
    FaultCase(
        "an endless account id",
        ACCOUNT + f"({'9' * 5000}, 'SECRET', 'ann');",
        1,
        "account.id is not an integer",
    ),
    FaultCase("an account id that is null", ACCOUNT + "(NULL, 'SECRET', 'ann');", 1, "account.id is null"),
    FaultCase(
        "an account id twice",
        ONE + ACCOUNT + "(1, 'SECRET', 'bob');",
        2,
        "account.id is the same as on line 1",
    ),
    FaultCase(
        "a username twice on one line",
        ACCOUNT + "(1, 'SECRET', 'ann'), (2, 'SECRET', 'ann');",
        1,
        "account.username is the same",
    ),
    FaultCase(
        "a number of no account",
        ONE + NUMBER + "(1, '12025550123', 9);",
        2,
        "account_id 9 is no account's id",
    ),
    FaultCase(
        "an account id that a number names by a word",
        ONE + NUMBER + "(1, '12025550123', 'x');",
        2,
        "phone_number.account_id is not an integer",
    ),
    FaultCase(
        "too many values without named columns",
        "INSERT INTO account VALUES (1, 'SECRET', 'ann', NULL);",
        1,
        "4 values for the 3 columns of account",
    ),
    FaultCase(
        "a number's id twice",
        ONE + NUMBER + "(1, '12025550123', 1),\n(1, '12025550124', 1);",
        3,
        "phone_number.id is the same as on line 2",
    ),
    FaultCase(
        "a column that is missing",
        "INSERT INTO account (id, username) VALUES (1, 'ann');",
        1,
        "account has no column auth_id",
    ),
    FaultCase("a dump cut off", ONE + "COPY phone_number (id, number, account_id) FROM stdin;\n", 2, "truncated"),
]


@pytest.mark.parametrize("case", FAULTS, ids=str)
def test_a_fault_is_named_with_its_line_and_without_the_credential(case: FaultCase) -> None:
    with pytest.raises(DumpError) as caught:
        read(case.dump)
    assert caught.value.line == case.line
    assert case.says in str(caught.value)
    assert "SECRET" not in str(caught.value)


@dataclass(frozen=True, slots=True)
class SkipCase:
    """A row among sound ones. row: what is on line 5, after accounts 1 (ann) and 2 (bob) and number 1 (ann's)."""

    name: str
    row: str
    table: str
    reason: str

    def __str__(self) -> str:
        return self.name


SOUND = ONE + ACCOUNT + "(2, 'SECRET', 'bob');\n" + NUMBER + "(1, '+12025550123', 1),\n(2, '12025550124', 2);\n"

SKIPS = [
    SkipCase("an auth_id that is null", ACCOUNT + "(3, NULL, 'cy');", "account", "account.auth_id is null"),
    SkipCase("an empty auth_id", ACCOUNT + "(3, '', 'cy');", "account", "account.auth_id is empty"),
    SkipCase("a username that is null", ACCOUNT + "(3, 'SECRET', NULL);", "account", "account.username is null"),
    SkipCase("an empty username", ACCOUNT + "(3, 'SECRET', '');", "account", "account.username is empty"),
    SkipCase(
        "a username with a colon", ACCOUNT + "(3, 'SECRET', 'c:y');", "account", "account.username cannot be used"
    ),
    SkipCase(
        "a username that another row without auth_id has",
        ACCOUNT + "(3, NULL, 'ann');",
        "account",
        "account.auth_id is null",
    ),
    SkipCase("a number that is null", NUMBER + "(3, NULL, 1);", "phone_number", "phone_number.number is null"),
    SkipCase("an empty number", NUMBER + "(3, '', 1);", "phone_number", "phone_number.number is empty"),
    SkipCase("a number too short", NUMBER + "(3, '12345', 1);", "phone_number", "not a number of 6 to 20 digits"),
    SkipCase("a number of letters", NUMBER + "(3, 'HELP', 1);", "phone_number", "not a number of 6 to 20 digits"),
    SkipCase(
        "a number without account",
        NUMBER + "(3, '12025550125', NULL);",
        "phone_number",
        "phone_number.account_id is null",
    ),
    SkipCase(
        "a number twice", NUMBER + "(3, '+12025550123', 1);", "phone_number", "phone_number.number is the one on line 3"
    ),
    SkipCase(
        "a number in another spelling",
        NUMBER + "(3, '1 (202) 555-0123', 1);",
        "phone_number",
        "phone_number.number is the one on line 3",
    ),
    SkipCase(
        "a null by COPY",
        "COPY account (id, auth_id, username) FROM stdin;\n3\t\\N\tcy\n\\.\n",
        "account",
        "account.auth_id is null",
    ),
]


@pytest.mark.parametrize("case", SKIPS, ids=str)
def test_an_unusable_row_is_skipped_and_told_and_the_others_are_read(case: SkipCase) -> None:
    sound, dump = read(SOUND), read(SOUND + case.row)
    assert (dump.accounts, dump.numbers, sound.skipped) == (sound.accounts, sound.numbers, ())
    [skipped] = dump.skipped
    assert (skipped.table, skipped.line) == (case.table, 6 if "COPY" in case.row else 5)
    assert case.reason in skipped.reason
    assert "SECRET" not in skipped.reason


def test_the_numbers_of_a_skipped_account_are_skipped_too_in_the_order_of_the_dump() -> None:
    dump = read(NUMBER + "(1, '12025550123', 9);\n" + ACCOUNT + "(9, NULL, 'ann');\n" + NUMBER + "(2, NULL, 9);")
    assert (dump.accounts, dump.numbers) == ((), ())
    assert [(row.line, row.table) for row in dump.skipped] == [(1, "phone_number"), (2, "account"), (3, "phone_number")]


def test_one_number_of_two_accounts_is_left_to_whoever_assigns_it() -> None:
    dump = read(SOUND + NUMBER + "(3, '12025550123', 2);")
    assert [(number.number, number.account_id) for number in dump.numbers if number.id != 2] == [
        ("+12025550123", 1),
        ("12025550123", 2),
    ]


def test_a_skipped_row_still_takes_its_id() -> None:
    with pytest.raises(DumpError, match=r"account\.id is the same as on line 1"):
        read(ACCOUNT + "(1, NULL, 'ann');\n" + ONE)


@pytest.mark.parametrize("head", ["INSERT INTO {} VALUES ({});\n", "COPY public.{} FROM stdin;\n{}\n\\.\n"])
def test_rows_without_named_columns_are_in_the_known_order(head: str) -> None:
    rows = [("account", ("1", "SECRET", "ann")), ("phone_number", ("2", "12025550123", "1"))]
    insert = head.startswith("INSERT")
    dump = read(
        "".join(
            head.format(table, ", ".join(f"'{value}'" for value in values) if insert else "\t".join(values))
            for table, values in rows
        )
    )
    assert dump.accounts == (DumpAccount(id=1, auth_id="SECRET", username="ann"),)
    assert dump.numbers == (DumpNumber(id=2, number="12025550123", account_id=1),)


def test_all_faults_are_told_together_in_the_order_of_the_dump() -> None:
    with pytest.raises(DumpError) as caught:
        read(NUMBER + "(1, '12025550123', 9);\n" + ACCOUNT + "(NULL, 'SECRET', 'ann');\n" + ONE + ONE)
    assert str(caught.value).splitlines() == [
        "line 1: phone_number.account_id 9 is no account's id",
        "line 2: account.id is null",
        "line 4: account.id is the same as on line 3",
    ]


def test_a_dump_of_nothing_but_faults_is_given_up_after_twenty() -> None:
    with pytest.raises(DumpError) as caught:
        read((ACCOUNT + "(NULL, 'SECRET', 'ann');\n") * 50)
    assert len(str(caught.value).splitlines()) == 20
