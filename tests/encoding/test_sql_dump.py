"""Dumps: both forms, every escape, and nothing but DumpError for what is broken."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.encoding.sql_dump import DumpError, Row, parse

DATA = Path(__file__).parent / "data"
Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class ReadCase:
    """values: the rows of table t, in order."""

    name: str
    dump: str | bytes
    values: tuple[Values, ...]
    columns: tuple[str, ...] = ("a", "b")

    def __str__(self) -> str:
        return self.name


def read(dump: str | bytes, tables: tuple[str, ...] = ("t",), columns: tuple[str, ...] | None = None) -> list[Row]:
    """columns: those that the tables are known to have."""
    return list(parse([dump.encode() if isinstance(dump, str) else dump], dict.fromkeys(tables, columns)))


CREATE = "CREATE TABLE public.t (\n    a integer NOT NULL,\n    b numeric(10,2) DEFAULT 0\n);\n"
COPY = "COPY t (a, b) FROM stdin;\n"

READS = [
    ReadCase("an empty dump has no rows", "", ()),
    ReadCase("COPY gives its rows", COPY + "1\tx\n2\ty\n\\.\n", (("1", "x"), ("2", "y"))),
    ReadCase("COPY without rows gives none", COPY + "\\.\n", ()),
    ReadCase("COPY qualified by a schema", "COPY public.t (a, b) FROM stdin;\n1\tx\n\\.\n", (("1", "x"),)),
    ReadCase("COPY in capitals", "COPY T (A, B) FROM STDIN;\n1\tx\n\\.\n", (("1", "x"),)),
    ReadCase("COPY with quoted names", 'COPY "public"."t" ("a", "b") FROM stdin;\n1\tx\n\\.\n', (("1", "x"),)),
    ReadCase("COPY over several lines", "COPY t\n (a,\n b)\n FROM stdin;\n1\tx\n\\.\n", (("1", "x"),)),
    ReadCase(
        "COPY that leaves the columns to CREATE TABLE",
        CREATE + "COPY t FROM stdin;\n1\tx\n\\.\n",
        (("1", "x"),),
    ),
    ReadCase("COPY without a final newline", COPY + "1\tx\n\\.", (("1", "x"),)),
    ReadCase("COPY with CRLF", (COPY + "1\tx\n\\.\n").replace("\n", "\r\n"), (("1", "x"),)),
    ReadCase("NULL is not the text N", COPY + "\\N\tN\n\\\\N\t\n\\.\n", ((None, "N"), ("\\N", ""))),
    ReadCase("every single-letter escape", COPY + "\\b\\f\\n\\r\\t\\v\t\\\\\n\\.\n", (("\b\f\n\r\t\v", "\\"),)),
    ReadCase("octal and hexadecimal escapes", COPY + "\\101\\x42\\7\t\\303\\251\n\\.\n", (("AB\a", "é"),)),
    ReadCase("any other escape stands for itself", COPY + "\\q\\.\t\\'\n\\.\n", (("q.", "'"),)),
    ReadCase("a tab after a backslash belongs to the value", COPY + "x\\\ty\tz\n\\.\n", (("x\ty", "z"),)),
    ReadCase("a tab after two backslashes divides", COPY + "x\\\\\ty\n\\.\n", (("x\\", "y"),)),
    ReadCase("a newline after a backslash belongs to the value", COPY + "x\\\ny\tz\n\\.\n", (("x\ny", "z"),)),
    ReadCase("a newline after two backslashes ends the row", COPY + "x\tz\\\\\n\\.\n", (("x", "z\\"),)),
    ReadCase("quotes mean nothing in COPY data", COPY + "'\t\"--;\n\\.\n", (("'", '"--;'),)),
    ReadCase(
        "what follows COPY on its line comes after its data",
        "COPY t (a, b) FROM stdin; -- rows\n1\tx\n\\.\n",
        (("1", "x"),),
    ),
    ReadCase("a byte order mark is passed over", b"\xef\xbb\xbf" + COPY.encode() + b"1\tx\n\\.\n", (("1", "x"),)),
    ReadCase(
        "the rows of other tables are passed over",
        "COPY u (a) FROM stdin;\n1\tx\ty\n\\.\n" + COPY + "1\tx\n\\.\n",
        (("1", "x"),),
    ),
    ReadCase(
        "SQL in another table's data is data",
        "COPY u (a) FROM stdin;\nINSERT INTO t (a, b) VALUES (1, 2);\n\\.\n",
        (),
    ),
    ReadCase("INSERT gives its row", "INSERT INTO t (a, b) VALUES (1, 'x');", (("1", "x"),)),
    ReadCase(
        "INSERT leaves the columns to CREATE TABLE",
        CREATE + "INSERT INTO public.t VALUES (1, 'x');\n",
        (("1", "x"),),
    ),
    ReadCase(
        "INSERT of several rows",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'),\n\t(3, 'z');",
        (("1", "x"), ("2", "y"), ("3", "z")),
    ),
    ReadCase("INSERT with CRLF", CREATE.replace("\n", "\r\n") + "INSERT INTO t VALUES (1, 'x');\r\n", (("1", "x"),)),
    ReadCase(
        "INSERT with its clauses",
        "INSERT INTO t (a, b) OVERRIDING SYSTEM VALUE VALUES (1, 'x') ON CONFLICT DO NOTHING;",
        (("1", "x"),),
    ),
    ReadCase(
        "numbers keep their text",
        "INSERT INTO t (a, b) VALUES (-1.50, 1e-7), (.5, 0012);",
        (("-1.50", "1e-7"), (".5", "0012")),
    ),
    ReadCase(
        "NULL and booleans read as in COPY",
        "INSERT INTO t (a, b) VALUES (NULL, true), (false, 'NULL');",
        ((None, "t"), ("f", "NULL")),
    ),
    ReadCase(
        "doubled quotes",
        "INSERT INTO t (a, b) VALUES ('it''s', ''''), ('', '''''');",
        (("it's", "'"), ("", "''")),
    ),
    ReadCase(
        "a string of several lines",
        "INSERT INTO t (a, b) VALUES ('x\n--;y', '/*\n''');",
        (("x\n--;y", "/*\n'"),),
    ),
    ReadCase(
        "a backslash in a plain string is itself",
        "INSERT INTO t (a, b) VALUES ('\\', '\\n');",
        (("\\", "\\n"),),
    ),
    ReadCase(
        "a backslash is an escape if the dump says so",
        "SET standard_conforming_strings = off;\nINSERT INTO t (a, b) VALUES ('\\\\', '\\'x');",
        (("\\", "'x"),),
    ),
    ReadCase(
        "an escape string",
        "INSERT INTO t (a, b) VALUES (E'\\\\\\n\\'''\\101\\x42', e'\\303\\251\\u00e9\\U0001F642');",
        (("\\\n''AB", "éé🙂"),),
    ),
    ReadCase(
        "a character in two escaped halves",
        "INSERT INTO t (a, b) VALUES (E'\\ud83d\\ude42', E'');",
        (("🙂", ""),),
    ),
    ReadCase(
        "a dollar-quoted string",
        "INSERT INTO t (a, b) VALUES ($$it's$$, $x$a$$\nb$x$);",
        (("it's", "a$$\nb"),),
    ),
    ReadCase(
        "comments between tokens",
        "INSERT /* a /* nested */ ; */ INTO t -- ;\n (a, b) VALUES (1, /*'*/ 2);",
        (("1", "2"),),
    ),
    ReadCase(
        "quoted names keep their case and quotes",
        'INSERT INTO t ("A", "b""c") VALUES (1, 2);',
        (("1", "2"),),
        ("A", 'b"c'),
    ),
    ReadCase(
        "both forms in one dump",
        CREATE + COPY + "1\tx\n\\.\nINSERT INTO t VALUES (2, 'y');",
        (("1", "x"), ("2", "y")),
    ),
    ReadCase(
        "constraints are no columns",
        'CREATE TABLE IF NOT EXISTS t (a int CHECK (a > 0, true), "check" text, PRIMARY KEY (a),\n'
        ' CONSTRAINT c UNIQUE ("check"));\nINSERT INTO t VALUES (1, 2);',
        (("1", "2"),),
        ("a", "check"),
    ),
    ReadCase(
        "an unlogged table",
        "CREATE UNLOGGED TABLE t (a int, b int);\nINSERT INTO t VALUES (1, 2);",
        (("1", "2"),),
    ),
    ReadCase(
        "an INSERT in a function's quoted body is no row",
        "CREATE FUNCTION f() RETURNS void AS $_$\nINSERT INTO t (a, b) VALUES (1, 2);\n$_$ LANGUAGE sql;",
        (),
    ),
    ReadCase(
        "an INSERT in a function's SQL body is no row",
        "CREATE OR REPLACE FUNCTION f() RETURNS void BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\n"
        "INSERT INTO t (a, b) VALUES (1, 2);\nEND;\nINSERT INTO t (a, b) VALUES (3, 4);",
        (("3", "4"),),
    ),
    ReadCase(
        "an INSERT in a rule is no row",
        "CREATE RULE r AS ON INSERT TO u DO ALSO (SELECT 1; INSERT INTO t (a, b) VALUES (1, 2); );",
        (),
    ),
    ReadCase(
        "an INSERT in a comment is no row",
        "-- INSERT INTO t (a, b) VALUES (1, 2);\n/* INSERT INTO t (a, b) VALUES (1, 2); */",
        (),
    ),
    ReadCase(
        "psql's own commands are passed over",
        "\\restrict it's\n" + COPY + "1\tx\n\\.\n\\unrestrict it's\n",
        (("1", "x"),),
    ),
    ReadCase("COPY to somewhere is passed over", "COPY t (a, b) TO stdout;\nCOPY (SELECT 1) TO stdout;\n", ()),
    ReadCase(
        "a setting is passed over",
        "SET client_encoding = 'UTF8';\nSET search_path = public, pg_catalog;\nSET x;\n;;",
        (),
    ),
]


@pytest.mark.parametrize("case", READS, ids=str)
def test_rows_are_read(case: ReadCase) -> None:
    rows = read(case.dump)
    assert tuple(row.values for row in rows) == case.values
    assert all(row.table == "t" and row.columns == case.columns for row in rows)


@dataclass(frozen=True, slots=True)
class BrokenCase:
    name: str
    dump: str | bytes
    line: int
    says: str

    def __str__(self) -> str:
        return self.name


BROKEN = [
    BrokenCase("COPY cut off in its data", "\n" + COPY + "1\tx\n", 2, "truncated"),
    BrokenCase("COPY cut off before its data", COPY.rstrip("\n"), 1, "truncated"),
    BrokenCase("another table's COPY cut off", "COPY u (a) FROM stdin;\n1\n", 1, "truncated"),
    BrokenCase("a string cut off", "\nINSERT INTO t (a, b) VALUES (1,\n 'x", 3, "truncated"),
    BrokenCase("a statement cut off", "\nINSERT INTO t (a, b)\nVALUES (1, 2)", 2, "truncated"),
    BrokenCase("another statement cut off", "ALTER TABLE t ADD", 1, "truncated"),
    BrokenCase("a comment cut off", "SELECT 1;\n/* x", 2, "truncated"),
    BrokenCase("a function cut off", "CREATE FUNCTION f() AS $$ SELECT 1;", 1, "truncated"),
    BrokenCase("a parenthesis that never closes", "SELECT (1;\nSELECT 2;", 1, "truncated"),
    BrokenCase("too few values in COPY", COPY + "1\tx\n2\n\\.\n", 3, "1 values for the 2 columns"),
    BrokenCase("too many values in COPY", COPY + "1\tx\ty\n\\.\n", 2, "3 values for the 2 columns"),
    BrokenCase(
        "too few values in INSERT",
        "INSERT INTO t (a, b) VALUES (1, 2),\n(3);",
        2,
        "1 values for the 2 columns",
    ),
    BrokenCase("no columns known for INSERT", "INSERT INTO t VALUES (1);", 1, "no CREATE TABLE"),
    BrokenCase("no columns known for COPY", "COPY t FROM stdin;\n1\n\\.\n", 1, "no CREATE TABLE"),
    BrokenCase("a column named twice", "COPY t (a, a) FROM stdin;\n1\t2\n\\.\n", 1, "twice"),
    BrokenCase("a NUL octet", b"SELECT 1;\n\0\n", 2, "NUL"),
    BrokenCase("a NUL by its escape in COPY", COPY + "\\000\tx\n\\.\n", 2, "NUL"),
    BrokenCase("a NUL by its escape in a string", "INSERT INTO t (a, b) VALUES (1, E'\\x00');", 1, "NUL"),
    BrokenCase("COPY data not in UTF-8", COPY.encode() + b"1\t\xe9\n\\.\n", 2, "UTF-8"),
    BrokenCase("COPY data not in UTF-8 by its escapes", COPY + "1\t\\351\n\\.\n", 2, "UTF-8"),
    BrokenCase("a statement not in UTF-8", b"SELECT 1;\nSELECT '\xe9';", 2, "UTF-8"),
    BrokenCase("half a character in a string", "INSERT INTO t (a, b) VALUES (1, E'\\ud83d');", 1, "no valid text"),
    BrokenCase("a code above all characters", "INSERT INTO t (a, b) VALUES (1, E'\\UFFFFFFFF');", 1, "no valid text"),
    BrokenCase("UTF-16", (COPY + "\\.\n").encode("utf-16"), 1, "NUL"),
    BrokenCase("another encoding by its own word", "SET client_encoding = 'LATIN1';", 1, "pg_dump --encoding=UTF8"),
    BrokenCase("a line too long", "SELECT 1;\n--" + "x" * (1 << 20), 2, "longer than"),
    BrokenCase("a string too long", "SELECT '" + ("x" * 1023 + "\n") * 1025, 1, "longer than"),
    BrokenCase(
        "a row too long",
        "INSERT INTO t (a, b) VALUES\n" + "(" + ("'" + "x" * 1023 + "',\n") * 1026,
        1,
        "too long",
    ),
    BrokenCase("a row of very many values", "INSERT INTO t (a, b) VALUES (" + "1," * 1601, 1, "too long"),
    BrokenCase("COPY data of one endless row", COPY + ("x" * 1023 + "\\\n") * 1026, 2, "longer than"),
    BrokenCase("COPY in another format", "COPY t (a, b) FROM stdin WITH (FORMAT csv);\n1,2\n\\.\n", 1, "pg_dump"),
    BrokenCase("COPY from a file", "COPY t (a, b) FROM '/etc/passwd';", 1, "pg_dump"),
    BrokenCase("INSERT from a query", "INSERT INTO t (a, b) SELECT 1, 2;", 1, "VALUES was expected"),
    BrokenCase("a value that is computed", "INSERT INTO t (a, b) VALUES (1, now());", 1, "neither string"),
    BrokenCase("a value that is cast", "INSERT INTO t (a, b) VALUES (1, '2'::text);", 1, "expected"),
    BrokenCase("something after the rows", "INSERT INTO t (a, b) VALUES (1, 2) (3, 4);", 1, "expected"),
    BrokenCase(
        "one table in two schemas",
        CREATE + "INSERT INTO audit.t (a, b) VALUES (1, 2);",
        5,
        "more than one schema",
    ),
]


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_broken_dump_is_refused_at_its_line(case: BrokenCase) -> None:
    with pytest.raises(DumpError) as caught:
        read(case.dump)
    assert caught.value.line == case.line
    assert case.says in str(caught.value)


@pytest.mark.parametrize(
    "dump", ["INSERT INTO public.t VALUES (1, 'x');", "COPY t FROM stdin;\n1\tx\n\\.\n"], ids=["INSERT", "COPY"]
)
def test_known_columns_serve_where_the_dump_names_none(dump: str) -> None:
    [row] = read(dump, columns=("a", "b"))
    assert (row.columns, row.values) == (("a", "b"), ("1", "x"))
    with pytest.raises(DumpError, match="2 values for the 3 columns of t"):
        read(dump, columns=("a", "b", "c"))
    [declared] = read("CREATE TABLE t (b text, a text);\n" + dump, columns=("a", "b"))
    assert declared.columns == ("b", "a")


def test_each_row_knows_its_line() -> None:
    dump = CREATE + COPY + "1\tx\n2\ty\\\nz\n3\tw\n\\.\nINSERT INTO t VALUES\n(4, '\n'),\n(5, 'v');"
    assert [row.line for row in read(dump)] == [6, 7, 9, 12, 14]


def test_rows_come_while_the_source_is_still_being_read() -> None:
    def endless() -> Iterator[bytes]:
        yield COPY.encode()
        while True:
            yield b"1\tx\n"

    rows = parse(endless(), {"t": None})
    assert [next(rows).line for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("name", ["plivo_dump.sql", "plivo_dump_inserts.sql"])
def test_the_size_of_the_chunks_does_not_matter(name: str, size: int) -> None:
    dump = (DATA / name).read_bytes()
    chunks = [dump[start : start + size] for start in range(0, len(dump), size)]
    whole = list(parse(io.BytesIO(dump), {"phone_number": None}))
    assert len(whole) == 79
    assert list(parse(chunks, {"phone_number": None})) == whole


# What no line-based change of newlines may touch is written as an escape by pg_dump; a bare CR is not.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.text(
    "\\'\"\n\r\t\v\b\f.N;-$xeE 7", max_size=12
)
grids = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[st.none() | texts] * width), max_size=6).map(lambda rows: (width, rows))
)


def copy_field(value: str | None) -> str:
    if value is None:
        return "\\N"
    for char, escape in (
        ("\\", "\\\\"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\v", "\\v"),
        ("\b", "\\b"),
    ):
        value = value.replace(char, escape)
    return value


def literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def escape_literal(value: str | None) -> str:
    return "NULL" if value is None else "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@given(grids)
@settings(max_examples=100)
def test_a_table_reads_back_from_every_form(grid: tuple[int, list[Values]]) -> None:
    width, rows = grid
    columns = ", ".join(f"c{index}" for index in range(width))
    copy = (
        f"COPY t ({columns}) FROM stdin;\n" + "".join("\t".join(map(copy_field, row)) + "\n" for row in rows) + "\\.\n"
    )
    assert [row.values for row in read(copy)] == rows
    assert [row.values for row in read(copy.replace("\n", "\r\n"))] == rows
    for quote in literal, escape_literal:
        tuples = ["(" + ", ".join(map(quote, row)) + ")" for row in rows]
        single = "".join(f"INSERT INTO public.t ({columns}) VALUES {one};\n" for one in tuples)
        assert [row.values for row in read(single)] == rows
        if rows:
            several = f"INSERT INTO t ({columns}) VALUES\n\t" + ",\n\t".join(tuples) + ";\n"
            assert [row.values for row in read(several)] == rows


fragments = st.lists(
    st.sampled_from(
        [
            b"COPY t (a, b) FROM stdin;\n",
            b"INSERT INTO t (a, b) VALUES ",
            b"CREATE TABLE t (",
            b"a int",
            b"\\.\n",
            b"\\",
            b"'",
            b"''",
            b"E'",
            b'"',
            b"$$",
            b"$x$",
            b"/*",
            b"*/",
            b"--",
            b"(",
            b")",
            b",",
            b";",
            b".",
            b"\n",
            b"\r",
            b"\t",
            b"1",
            b"NULL",
            b"t",
            b"SET client_encoding = ",
            b"CREATE FUNCTION f() BEGIN",
            b" END",
            b"\xc3",
            b"\0",
            b"\\ud83d",
            b"\\x",
            b"\\777",
            b" ",
        ]
    ),
    max_size=30,
).map(b"".join)


@given(st.binary(max_size=300) | fragments)
@settings(max_examples=100)
def test_random_bytes_raise_nothing_but_dump_error(dump: bytes) -> None:
    try:
        rows = read(dump)
    except DumpError:
        return
    assert all(len(row.values) == len(row.columns) for row in rows)


@given(st.data())
@settings(max_examples=60)
def test_a_dump_cut_inside_its_data_is_noticed(data: st.DataObject) -> None:
    dump = (DATA / "plivo_dump.sql").read_bytes()
    start = dump.index(b"COPY phone_number")
    end = dump.rindex(b"\\.\n")
    cut = data.draw(st.integers(start + 1, end))
    with pytest.raises(DumpError):
        read(dump[:cut], ("account", "phone_number"))
