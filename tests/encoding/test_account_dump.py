"""Accounts and numbers of a dump: read whole, or refused with every fault named."""

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
    FaultCase("a username that is null", ACCOUNT + "(1, 'SECRET', NULL);", 1, "account.username is null"),
    FaultCase("an empty username", ACCOUNT + "(1, 'SECRET', '');", 1, "account.username is empty"),
    FaultCase("an auth_id that is null", ACCOUNT + "(1, NULL, 'ann');", 1, "account.auth_id is null"),
    FaultCase("an empty auth_id", ACCOUNT + "(1, '', 'ann');", 1, "account.auth_id is empty"),
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
        "a number without account",
        ONE + NUMBER + "(1, '12025550123', NULL);",
        2,
        "phone_number.account_id is null",
    ),
    FaultCase("an empty number", ONE + NUMBER + "(1, '', 1);", 2, "phone_number.number is empty"),
    FaultCase(
        "a number twice",
        ONE + NUMBER + "(1, '12025550123', 1),\n(2, '12025550123', 1);",
        3,
        "phone_number.number is the same as on line 2",
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


def test_all_faults_are_told_together_in_the_order_of_the_dump() -> None:
    with pytest.raises(DumpError) as caught:
        read(NUMBER + "(1, '12025550123', 9);\n" + ACCOUNT + "(1, '', 'ann');\n" + ACCOUNT + "(2, 'SECRET', '');")
    assert str(caught.value).splitlines() == [
        "line 1: phone_number.account_id 9 is no account's id",
        "line 2: account.auth_id is empty",
        "line 3: account.username is empty",
    ]


def test_a_dump_of_nothing_but_faults_is_given_up_after_twenty() -> None:
    with pytest.raises(DumpError) as caught:
        read((ACCOUNT + "(1, '', 'ann');\n") * 50)
    assert len(str(caught.value).splitlines()) == 20
