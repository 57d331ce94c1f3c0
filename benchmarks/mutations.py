"""Mutants of Python code: the same text with one small fault, such as ``<`` for ``<=``.

Docstrings, annotations, imports, messages of errors and warnings, and f-strings stay as they are.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

TOKENS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in", ast.And: "and", ast.Or: "or",
}  # fmt: skip
OTHERS = {
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "//": ["/"], "%": ["*"], "**": ["*"],
    "&": ["|"], "|": ["&"], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="],
    ">=": [">", "<"], "==": ["!="], "!=": ["=="], "is": ["is not"], "is not": ["is"],
    "in": ["not in"], "not in": ["in"], "and": ["or"], "or": ["and"],
}  # fmt: skip
NAMES = (
    ("min", "max"), ("any", "all"), ("amin", "amax"), ("argmin", "argmax"), ("floor", "ceil"),
    ("minimum", "maximum"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("sum", "mean"),
    ("nanmin", "nanmax"), ("logical_or_", "logical_and_"), ("new_zeros", "new_ones"),
)  # fmt: skip
SWAPS = {a: b for one, other in NAMES for a, b in ((one, other), (other, one))}
SILENT = {"log", "warnings"}  # what they are told is for people
MESSAGES = {"UserError", "BadPhotoError", "ValueError", "telling", "telling_failure", "refuse"}
COMPREHENSIONS = {"<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"}  # outside of functions
FOR_PEOPLE = {"in_words", "unit"}


@dataclass(frozen=True)
class Mutant:
    """A change of one place in a file.

    Attributes
    ----------
    file
        Path in the repository.
    start, end
        Offsets of the text that is replaced, in the file's bytes.
    line
        Where it is, from 1.
    old, new
        The text before, and after.
    name
        One line that tells mutants apart, also after other lines have come or gone.
    """

    file: str
    start: int
    end: int
    line: int
    old: str
    new: str
    name: str

    @property
    def text(self) -> str:
        """The whole mutated file."""
        data = Path(self.file).read_bytes()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


def mutants(file: str) -> list[Mutant]:
    """Return all mutants of a file whose bytecode is not that of the file, in order."""
    source = Path(file).read_text()
    before = _bytes_of(compile(source, file, "exec"))
    found = []
    for mutant in _Finder(file, source).found():
        try:
            if _bytes_of(compile(mutant.text, file, "exec")) != before:
                found.append(mutant)
        except (SyntaxError, ValueError):
            continue
    return found


def _bytes_of(code: CodeType) -> tuple[object, ...]:
    """Return what a code object does, without its lines."""
    constants = tuple(
        _bytes_of(each) if isinstance(each, CodeType) else (type(each), repr(each))
        for each in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, constants


def changed_functions(mutant: Mutant) -> list[tuple[CodeType, CodeType]] | None:
    """Return the outermost functions that a mutant changes, before and after.

    None: it changes what runs when the module is imported, such as a constant.
    """
    old = compile(Path(mutant.file).read_text(), str(Path(mutant.file).resolve()), "exec")
    new = compile(mutant.text, str(Path(mutant.file).resolve()), "exec")
    return _changed(old, new)


def _changed(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    if _own(old) != _own(new):
        return None
    found = []
    for one, other in zip(_inner(old), _inner(new), strict=True):
        if _bytes_of(one) == _bytes_of(other):
            continue
        if one.co_name in COMPREHENSIONS:
            return None
        is_class = "__qualname__" in one.co_names and "__module__" in one.co_names
        below = _changed(one, other) if is_class else [(one, other)]
        if below is None or one.co_freevars != other.co_freevars:
            return None
        found += below
    return found


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    constants = [
        each.co_name if isinstance(each, CodeType) else (type(each), repr(each))
        for each in code.co_consts
    ]
    return code.co_code, code.co_names, constants


class _Finder(ast.NodeVisitor):
    """Walk a file, and note the mutants of each node."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.data = file, source.encode()
        self._tree = ast.parse(source)
        lines = self.data.splitlines(keepends=True)
        self._begins = [sum(map(len, lines[:at])) for at in range(len(lines))]
        self._made: list[Mutant] = []
        self._seen: Counter[str] = Counter()

    def found(self) -> list[Mutant]:
        self.visit(self._tree)
        return sorted(self._made, key=lambda each: (each.start, each.end, each.new))

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self._begins[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self._begins[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.data[start:end].decode()

    def _change(self, start: int, end: int, new: str) -> None:
        old = self.data[start:end].decode()
        line = self.data[:start].count(b"\n") + 1
        column = start - self._begins[line - 1]
        text = self.data.decode().splitlines()[line - 1].strip()
        name = f"{self.file} `{text}` {column}: `{old}` -> `{new}`"
        self._seen[name] += 1
        name += f" ({self._seen[name]})" * (self._seen[name] > 1)
        self._made.append(Mutant(self.file, start, end, line, old, new, name))

    def _replace(self, node: ast.AST, new: str) -> None:
        self._change(*self._span(node), new)

    def _between(self, left: ast.AST, right: ast.AST, kind: ast.AST) -> None:
        """Change the operator between two operands."""
        token = TOKENS.get(type(kind))
        start, end = self._span(left)[1], self._span(right)[0]
        at = self.data[start:end].find(token.encode()) if token else -1
        for other in OTHERS[token] if token and at >= 0 else ():
            self._change(start + at, start + at + len(token), other)

    def visit_Import(self, node: ast.Import) -> None: ...

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None: ...

    def visit_Raise(self, node: ast.Raise) -> None: ...

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in [*node.defaults, *(each for each in node.kw_defaults if each)]:
            self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in FOR_PEOPLE:
            return
        self.visit(node.args)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if "__all__" in names or "Literal" in self._text(node.value)[:8]:
            return
        if not names and not isinstance(node.targets[0], ast.Tuple):
            self._replace(node, "pass")
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._between(node.target, node.value, node.op)
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call) and not self._is_silent(node.value):
            self._replace(node, "pass")
        self.visit(node.value)

    def _is_silent(self, node: ast.Call) -> bool:
        name = ast.unparse(node.func)
        return name.split(".")[0] in SILENT or name in MESSAGES

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_silent(node):
            return
        self.visit(node.func)
        is_check = isinstance(node.func, ast.Name) and node.func.id == "require"
        for argument in node.args[:1] if is_check else node.args:
            self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        if not isinstance(test, ast.UnaryOp | ast.Compare):
            self._replace(test, f"(not ({self._text(test)}))")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
        if not is_text:
            self._between(node.left, node.right, node.op)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, node.op)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right, kind in zip(operands, operands[1:], node.ops, strict=False):
            self._between(left, right, kind)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._replace(node, self._text(node.operand))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None:
                self._replace(bound, "")
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in SWAPS and hasattr(builtins, node.id):
            self._replace(node, SWAPS[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in SWAPS:
            end = self._span(node)[1]
            self._change(end - len(node.attr), end, SWAPS[node.attr])
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        for new in self._constants(node.value):
            self._replace(node, new)

    @staticmethod
    def _constants(value: object) -> Iterator[str]:
        if isinstance(value, bool):
            yield repr(not value)
        elif isinstance(value, int):
            yield from (repr(value + 1), f"({value - 1})")
        elif isinstance(value, float):
            yield repr(value * 2 or 1.0)
        elif isinstance(value, str):
            yield repr(f"{value}?" if value else "?")
