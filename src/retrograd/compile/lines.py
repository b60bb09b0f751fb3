"""Lines: the text of one native function, as far as it knows no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from retrograd.compile.values import Value, literal, mangled, scalar_of, vector


class Lines:
    """The body of one function: registers, instructions by their text, calls, constants."""

    def __init__(self, name: str, parameters: Sequence[Value], *, fused: bool = True) -> None:
        """Start a function without result; not ``fused`` where the CPU has no such instruction."""
        self.name = name
        self.parameters = tuple(parameters)
        self.fused = fused
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.block = "entry"
        self._count = 0
        self._reserved: list[str] = []

    def __str__(self) -> str:
        """Return the definition."""
        given = ", ".join(map(str, self.parameters))
        body = "\n".join(["entry:", *self._reserved, *self.lines])
        return f"define void @{self.name}({given}) #0 {{\n{body}\n  ret void\n}}\n"

    def new(self, type: str) -> Value:
        """Return a fresh register."""
        self._count += 1
        return Value(type, f"%v{self._count}")

    def do(self, line: str) -> None:
        """Write an instruction that has no result."""
        self.lines.append(f"  {line}")

    def let(self, type: str, expression: str) -> Value:
        """Write an instruction and return its result."""
        result = self.new(type)
        self.lines.append(f"  {result.name} = {expression}")
        return result

    def call(self, function: str, type: str, *arguments: Value) -> Value:
        """Call an intrinsic and return its result."""
        types = ", ".join(x.type for x in arguments)
        self.declarations.add(f"declare {type} @{function}({types})")
        return self.let(type, f"call {type} @{function}({', '.join(map(str, arguments))})")

    def call_void(self, function: str, *arguments: Value) -> None:
        """Call an intrinsic that has no result."""
        types = ", ".join(x.type for x in arguments)
        self.declarations.add(f"declare void @{function}({types})")
        self.do(f"call void @{function}({', '.join(map(str, arguments))})")

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """Call ``llvm.<name>`` overloaded on the first argument's type, which is the result's."""
        return self.call(f"llvm.{name}.{mangled(arguments[0].type)}", arguments[0].type, *arguments)

    # Constants

    def constant(self, type: str, value: float) -> Value:
        """Return the same number in every lane."""
        text = literal(scalar_of(type), value)
        if not type.startswith("<"):
            return Value(type, text)
        return Value(type, f"splat ({scalar_of(type)} {text})")

    def lanes(self, type: str, values: Sequence[float]) -> Value:
        """Return a vector constant, lane by lane."""
        scalar = scalar_of(type)
        return Value(type, "<" + ", ".join(f"{scalar} {literal(scalar, v)}" for v in values) + ">")

    def mask(self, lanes: int, count: int) -> Value:
        """Return the constant that is true in the first ``count`` lanes."""
        return self.lanes(vector("i1", lanes), [i < count for i in range(lanes)])
