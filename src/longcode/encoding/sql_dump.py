"""Rows out of a PostgreSQL plain dump, in its COPY and its INSERT form. Nothing is ever executed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from longcode.encoding.sql_tokens import (
    MAX_LITERAL_LENGTH,
    DumpError,
    Kind,
    Lexer,
    Token,
    copy_rows,
    copy_values,
    numbered_lines,
)

__all__ = ["DumpError", "Row", "parse"]

MAX_COLUMNS: Final = 1600  # PostgreSQL's own limit

_BEFORE_TABLE: Final = ("or", "replace", "unlogged", "global", "local", "temporary", "temp", "foreign")
_OF_DUMPS: Final = ("copy", "insert", "create")  # no dump of a table goes without
_CONSTRAINTS: Final = frozenset(("constraint", "primary", "unique", "foreign", "check", "exclude", "like"))
_WORD_VALUES: Final[dict[str, str | None]] = {"null": None, "true": "t", "false": "f"}
_READABLE_ENCODINGS: Final = frozenset(("utf8", "unicode", "sqlascii"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    table, columns: as they are stored, unquoted and without schema. values: as COPY writes them, one a
    column, None for NULL; true and false are "t" and "f" in both forms. line: where the row begins.
    """

    table: str
    columns: tuple[str, ...]
    values: tuple[str | None, ...]
    line: int


def parse(source: Iterable[bytes] | BinaryIO, tables: Mapping[str, tuple[str, ...] | None]) -> Iterator[Row]:
    """The rows of these tables in the order of the dump; every other statement is passed over.

    source: a file opened for reading bytes, or chunks of any size; CRLF and a missing last newline are fine.
    tables: names without schema, each with the columns that it has where neither the statement nor a CREATE
    TABLE before it names any; None where one of them must.
    Memory is bounded by one line and one row, 1 MiB each.
    Raises DumpError, possibly after rows were given, so act on them only when all have come: truncated or
    overlong input, a wrong number of values, NUL, not UTF-8, one table in two schemas, or a form of COPY
    or INSERT that pg_dump does not write.
    """
    return _Reader(source, tables).rows()


class _Reader:
    """The grammar. Every method begins and ends between tokens, `_read` between statements."""

    def __init__(self, source: Iterable[bytes] | BinaryIO, wanted: Mapping[str, tuple[str, ...] | None]) -> None:
        self._lines = numbered_lines(source)
        self._lexer = Lexer(self._lines)
        self._wanted = wanted
        self._declared = {table: columns for table, columns in wanted.items() if columns is not None}
        self._schemas: dict[str, str] = {}
        self._statement_line = 0
        self._recognized = False

    def rows(self) -> Iterator[Row]:
        try:
            yield from self._read()
        except DumpError as fault:
            if self._recognized:
                raise
            raise DumpError(fault.line, f"{fault.reason}; this is not a PostgreSQL dump") from fault

    def _read(self) -> Iterator[Row]:
        while (token := self._lexer.peek()) is not None:
            self._statement_line = token.line
            self._recognized |= any(token.is_sign(word) for word in _OF_DUMPS)
            if token.is_sign("copy"):
                yield from self._copy()
            elif token.is_sign("insert"):
                yield from self._insert()
            elif token.is_sign("create"):
                self._create()
            elif token.is_sign("set"):
                self._set()
            elif token.is_sign("\\"):
                self._take()
                self._lexer.skip_line()
            else:
                self._skip()

    def _copy(self) -> Iterator[Row]:
        self._take()
        if self._next_is("("):  # COPY (query) TO
            self._skip()
            return
        table, wanted = self._table()
        columns = self._names() if self._next_is("(") else None
        if not self._accept("from"):
            self._skip()
            return
        from_stdin = self._accept("stdin")
        plain = self._next_is(";")
        self._skip()
        if wanted and not (from_stdin and plain):
            raise DumpError(self._statement_line, f"COPY {table} in a form that pg_dump does not write")
        if wanted:
            columns = self._columns(table, columns)
        if from_stdin:
            for line, raw in copy_rows(self._lines, self._statement_line):
                if wanted and columns:
                    yield _row(table, columns, copy_values(raw, line), line)

    def _insert(self) -> Iterator[Row]:
        self._take()
        self._expect("into")
        table, wanted = self._table()
        if not wanted:
            self._skip()
            return
        columns = self._columns(table, self._names() if self._next_is("(") else None)
        if self._accept("overriding"):
            self._take()
            self._expect("value")
        self._expect("values")
        while True:
            line = self._expect("(").line
            yield _row(table, columns, self._values(), line)
            if not self._accept(","):
                break
        if not self._next_is(";"):
            self._expect("on")  # ON CONFLICT DO NOTHING, which pg_dump can add
        self._skip()

    def _values(self) -> tuple[str | None, ...]:
        values: list[str | None] = []
        length = 0
        while True:
            value = self._value()
            values.append(value)
            length += len(value or "")
            if length > MAX_LITERAL_LENGTH or len(values) > MAX_COLUMNS:
                raise DumpError(self._statement_line, "a row is too long")
            if self._accept(")"):
                return tuple(values)
            self._expect(",")

    def _value(self) -> str | None:
        sign = "-" if self._accept("-") else ""
        token = self._take()
        if token.kind is Kind.NUMBER or (token.kind is Kind.STRING and not sign):
            return sign + token.text
        if token.kind is Kind.WORD and token.text in _WORD_VALUES and not sign:
            return _WORD_VALUES[token.text]
        raise DumpError(token.line, "a value that is neither string, number, NULL, true nor false")

    def _create(self) -> None:
        self._take()
        while True:
            if self._accept("table"):
                self._create_table()
                return
            if self._accept("function") or self._accept("procedure"):
                self._skip(routine=True)
                return
            if not any(self._accept(word) for word in _BEFORE_TABLE):
                self._skip()
                return

    def _create_table(self) -> None:
        if self._accept("if"):
            self._expect("not")
            self._expect("exists")
        table, wanted = self._table()
        if wanted and self._accept("("):
            self._declared[table] = self._declared_columns()
        self._skip()

    def _declared_columns(self) -> tuple[str, ...]:
        columns: list[str] = []
        depth, at_start = 1, True
        while depth:
            token = self._take()
            if token.is_sign("("):
                depth += 1
            elif token.is_sign(")"):
                depth -= 1
            elif depth == 1 and at_start and _is_column(token):
                columns.append(token.text)
            at_start = depth == 1 and token.is_sign(",")
            if len(columns) > MAX_COLUMNS:
                raise DumpError(token.line, f"a table of more than {MAX_COLUMNS} columns")
        return tuple(columns)

    def _set(self) -> None:
        """Two settings change how the rest is read; the others do not matter."""
        words: list[Token] = []
        while len(words) < 4 and not self._next_is(";"):
            words.append(self._take())
        self._skip()
        if len(words) < 4:
            return
        name, value = words[1].text, words[3].text.lower()
        if name == "standard_conforming_strings":
            self._lexer.standard_strings = value in ("on", "true", "yes", "1")
        elif name == "client_encoding" and re.sub("[-_]", "", value) not in _READABLE_ENCODINGS:
            raise DumpError(words[3].line, "the dump is not in UTF-8; make it with pg_dump --encoding=UTF8")

    def _columns(self, table: str, named: tuple[str, ...] | None) -> tuple[str, ...]:
        columns = self._declared.get(table) if named is None else named
        if columns is None:
            raise DumpError(self._statement_line, f"no columns are named for {table}, and no CREATE TABLE came before")
        return columns

    def _table(self) -> tuple[str, bool]:
        """A table's name without its schema, and whether its rows are asked for."""
        schema, table = "", self._name()
        while self._accept("."):
            schema, table = table, self._name()
        wanted = table in self._wanted
        if wanted and schema and self._schemas.setdefault(table, schema) != schema:
            raise DumpError(self._statement_line, f"{table} is in more than one schema")
        return table, wanted

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        if self._accept(")"):
            return ()
        names = [self._name()]
        while self._accept(","):
            names.append(self._name())
            if len(names) > MAX_COLUMNS:
                raise DumpError(self._statement_line, f"more than {MAX_COLUMNS} columns")
        self._expect(")")
        if len(set(names)) != len(names):
            raise DumpError(self._statement_line, "a column is named twice")
        return tuple(names)

    def _name(self) -> str:
        token = self._take()
        if token.kind not in (Kind.WORD, Kind.NAME):
            raise DumpError(token.line, "a name was expected here")
        return token.text

    def _skip(self, *, routine: bool = False) -> None:
        """Pass over the rest of the statement.

        A semicolon in parentheses does not end it (rules hold several statements), nor does one between
        BEGIN and END in a routine whose body is written in SQL.
        """
        parentheses = blocks = 0
        while True:
            token = self._take()
            if token.is_sign(";") and not parentheses and not blocks:
                return
            if token.is_sign("("):
                parentheses += 1
            elif token.is_sign(")"):
                parentheses = max(0, parentheses - 1)
            elif routine and not parentheses:
                if token.is_sign("begin") or (blocks and token.is_sign("case")):
                    blocks += 1
                elif token.is_sign("end"):
                    blocks = max(0, blocks - 1)

    def _take(self) -> Token:
        token = self._lexer.take()
        if token is None:
            raise DumpError(self._statement_line, "the statement that begins here never ends; the dump is truncated")
        return token

    def _next_is(self, sign: str) -> bool:
        token = self._lexer.peek()
        return token is not None and token.is_sign(sign)

    def _accept(self, sign: str) -> bool:
        return self._next_is(sign) and bool(self._take())

    def _expect(self, sign: str) -> Token:
        token = self._take()
        if not token.is_sign(sign):
            raise DumpError(token.line, f"{sign.upper()} was expected here")
        return token


def _is_column(token: Token) -> bool:
    return token.kind is Kind.NAME or (token.kind is Kind.WORD and token.text not in _CONSTRAINTS)


def _row(table: str, columns: tuple[str, ...], values: tuple[str | None, ...], line: int) -> Row:
    if len(values) != len(columns):
        raise DumpError(line, f"{len(values)} values for the {len(columns)} columns of {table}")
    return Row(table, columns, values, line)
