"""The lines and the tokens of a PostgreSQL plain dump: quoting and escapes, no grammar.

Source: PostgreSQL manual, §4.1 Lexical Structure; COPY, File Formats, Text Format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO, Final

from longcode.errors import LongcodeError

MAX_LINE_OCTETS: Final = 1 << 20
MAX_LITERAL_LENGTH: Final = 1 << 20
_CHUNK_OCTETS: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class DumpError(LongcodeError):
    """The dump cannot be read. `line` is where, counted from 1; values are never quoted, being secrets."""

    code = "dump"

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Kind(Enum):
    """What a token is. A WORD is folded to lower case, as an unquoted identifier is; a NAME was quoted."""

    WORD = auto()
    NAME = auto()
    STRING = auto()
    NUMBER = auto()
    PUNCTUATION = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """text: without quotes, escapes resolved. line: where it begins."""

    kind: Kind
    text: str
    line: int

    def is_sign(self, text: str) -> bool:
        """True for this keyword or punctuation, never for a quoted name or a string that reads the same."""
        return self.text == text and self.kind in (Kind.WORD, Kind.PUNCTUATION)


def numbered_lines(source: Iterable[bytes] | BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The source's lines with their numbers from 1, without the newline; a carriage return is left.

    source: a file opened for reading bytes, or chunks of any size.
    Raises DumpError for a line above MAX_LINE_OCTETS or a NUL octet.
    """
    number = 1
    pending = bytearray()
    for chunk in _chunks(source):
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            pending += chunk[start:end]
            yield number, _checked(number, pending)
            pending.clear()
            number += 1
            start = end + 1
        pending += chunk[start:]
        if len(pending) > MAX_LINE_OCTETS:
            break
    if pending:
        yield number, _checked(number, pending)


def _chunks(source: Iterable[bytes] | BinaryIO) -> Iterable[bytes]:
    # A file's own iterator would hold a line of any length in memory.
    read = getattr(source, "read", None)
    if read is None:
        return source
    return iter(lambda: read(_CHUNK_OCTETS), b"")


def _checked(number: int, line: bytearray) -> bytes:
    if len(line) > MAX_LINE_OCTETS:
        raise DumpError(number, f"the line is longer than {MAX_LINE_OCTETS} octets")
    if 0 in line:
        raise DumpError(number, "the line has a NUL octet; this is no plain dump in UTF-8")
    return bytes(line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line)


def as_text(raw: bytes, line: int) -> str:
    """raw read as UTF-8. Raises DumpError, also for U+0000, which PostgreSQL stores in no text."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise DumpError(line, "this is not UTF-8") from cause
    if "\0" in text:
        raise DumpError(line, "a value has a NUL character")
    return text


_SINGLE = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_BACKSLASHED = re.compile(rb"\\.", re.DOTALL)
_COPY_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.)|\Z)", re.DOTALL)
_STRING_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))|(.))|''", re.DOTALL
)


def copy_rows(lines: Iterator[tuple[int, bytes]], opened: int) -> Iterator[tuple[int, bytes]]:
    """The rows of COPY data, each with its first line's number, up to the line that ends them.

    A line that ends in an escaped newline goes on in the next. opened: the line of the COPY statement.
    Raises DumpError if the data never ends, or for a row above MAX_LINE_OCTETS.
    """
    parts: list[bytes] = []
    first = length = 0
    for number, raw in lines:
        part = raw.removesuffix(b"\r")
        if not parts:
            if part == b"\\.":
                return
            first, length = number, 0
        parts.append(part)
        length += len(part) + 1
        if length > MAX_LINE_OCTETS + 1:
            raise DumpError(first, f"the row is longer than {MAX_LINE_OCTETS} octets")
        if (len(part) - len(part.rstrip(b"\\"))) % 2 == 0:
            yield first, b"\n".join(parts)
            parts.clear()
    raise DumpError(opened, "the data of this COPY never ends; the dump is truncated")


def copy_values(row: bytes, line: int) -> tuple[str | None, ...]:
    """The fields of one row in COPY text format, None for \\N. Raises DumpError."""
    if b"\\\t" in row:
        # A tab after a backslash belongs to the value: spelled by its code, it no longer divides fields.
        row = _BACKSLASHED.sub(lambda match: b"\\011" if match[0] == b"\\\t" else match[0], row)
    return tuple(_copy_value(field, line) for field in row.split(b"\t"))


def _copy_value(field: bytes, line: int) -> str | None:
    if field == b"\\N":
        return None
    if b"\\" in field:
        field = _COPY_ESCAPE.sub(lambda match: _octets(match[1], match[2], match[3]), field)
    return as_text(field, line)


def _escape_string(body: str, line: int) -> str:
    """The text of E'body'. An escape gives an octet, so that two can make one character."""

    def resolve(match: re.Match[bytes]) -> bytes:
        if match[0] == b"''":
            return b"'"
        if code := match[3] or match[4]:
            return chr(int(code, 16)).encode("utf-8", "surrogatepass")
        return _octets(match[1], match[2], match[5])

    try:
        raw = _STRING_ESCAPE.sub(resolve, body.encode("utf-8"))
        # \ud83d\ude42 is one character in two halves: UTF-16 joins them, and refuses a half alone.
        joined = raw.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except (ValueError, OverflowError) as cause:
        raise DumpError(line, "a string's escapes give no valid text") from cause
    return as_text(joined.encode("utf-8"), line)


def _octets(octal: bytes | None, hexadecimal: bytes | None, char: bytes | None) -> bytes:
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    return _SINGLE.get(char, char) if char else b""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<remark>--[^\n]*)
  | (?P<comment>/\*)
  | (?P<escaped>[eE]')
  | (?P<string>')
  | (?P<name>")
  | (?P<dollar>\$(?:[^\W\d]\w{0,62})?\$)
  | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<punctuation>.)
    """,
    re.VERBOSE,
)
_STRING_BODY = re.compile(r"[^']*+(?:''[^']*+)*+")
_ESCAPED_BODY = re.compile(r"[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*+", re.DOTALL)
_NAME_BODY = re.compile(r'[^"]*+(?:""[^"]*+)*+')
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PLAIN_KINDS = {"number": Kind.NUMBER, "word": Kind.WORD, "punctuation": Kind.PUNCTUATION}


class Lexer:
    """Tokens one at a time, with one of look-ahead.

    lines: shared with a caller that reads COPY data; peek must not have been called in between.
    standard_strings: False makes a backslash an escape in plain strings too, as the dump may ask for.
    """

    def __init__(self, lines: Iterator[tuple[int, bytes]]) -> None:
        self.standard_strings = True
        self._lines = lines
        self._line = 0
        self._text = ""
        self._at = 0
        self._peeked: Token | None = None

    def peek(self) -> Token | None:
        """The next token, left in place; None at the end."""
        if self._peeked is None:
            self._peeked = self._scan()
        return self._peeked

    def take(self) -> Token | None:
        """The next token; None at the end."""
        token, self._peeked = self.peek(), None
        return token

    def skip_line(self) -> None:
        """Pass over what is left of the line: a psql command such as \\restrict is not SQL."""
        self._at = len(self._text)

    def _load(self) -> bool:
        number, raw = next(self._lines, (0, b""))
        if not number:
            return False
        self._line, self._text, self._at = number, as_text(raw, number) + "\n", 0
        return True

    def _scan(self) -> Token | None:
        while self._at < len(self._text) or self._load():
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                raise DumpError(self._line, "this is no SQL")
            line, self._at = self._line, match.end()
            group = match.lastgroup or ""
            if kind := _PLAIN_KINDS.get(group):
                return Token(kind, match[0].lower() if kind is Kind.WORD else match[0], line)
            if group == "comment":
                self._pass_comment(line)
            elif group not in ("space", "remark"):
                return self._quoted(group, match[0], line)
        return None

    def _quoted(self, group: str, opening: str, line: int) -> Token:
        if group == "name":
            return Token(Kind.NAME, self._body(_NAME_BODY, '"', line).replace('""', '"'), line)
        if group == "dollar":
            body = re.compile(rf".*?(?={re.escape(opening)})|.*", re.DOTALL)
            return Token(Kind.STRING, self._body(body, opening, line), line)
        if group == "string" and self.standard_strings:
            return Token(Kind.STRING, self._body(_STRING_BODY, "'", line).replace("''", "'"), line)
        return Token(Kind.STRING, _escape_string(self._body(_ESCAPED_BODY, "'", line), line), line)

    def _body(self, body: re.Pattern[str], closing: str, opened: int) -> str:
        """What stands before closing, over as many lines as it takes; closing is passed over."""
        parts: list[str] = []
        length = 0
        while True:
            match = body.match(self._text, self._at)
            part = match[0] if match else ""
            parts.append(part)
            length += len(part)
            if length > MAX_LITERAL_LENGTH:
                raise DumpError(opened, f"a quoted text is longer than {MAX_LITERAL_LENGTH} characters")
            self._at += len(part)
            if self._text.startswith(closing, self._at):
                self._at += len(closing)
                return "".join(parts)
            if not self._load():
                raise DumpError(opened, "the quotation that begins here never ends; the dump is truncated")

    def _pass_comment(self, opened: int) -> None:
        depth = 1
        while depth:
            edge = _COMMENT_EDGE.search(self._text, self._at)
            if edge is not None:
                depth += 1 if edge[0] == "/*" else -1
                self._at = edge.end()
            elif not self._load():
                raise DumpError(opened, "the comment that begins here never ends; the dump is truncated")
