# ruff: noqa: W291
"""Source text of all of Python's grammar, for the comparison of the lowered tree with the host's own."""

from __future__ import annotations

GRAMMAR: dict[str, str] = {
    "continuations": """\
x = \\
  1 ; \\
 y
""",
    "tuples": """\
t=(a,
 b,
)
u = a, b
v = (
  (a, b)
)
""",
    "generators and calls": """\
f(x for x
  in y)
f(
 (x for x in y)
 )
g(
  x for x in y
)
h(1, *a,
  b=2, **k)
""",
    "functions and async": """\
@a
# c
@b(1,
 2)

def f(a, /, b=1, *c, d, e=(
   2), **k) -> int: pass
async def g(*, a=1):
    async with a as b, c: await d
    async for x in y: yield x
    else:
        return
    return [i async for i in z if 1 if 2 for q in w]
""",
    "match": """\
match x:
    # c
    case [1, *r] | {'a': 1, **k}:
        pass
    case A(1, b=2, c=(
       3)) as z if z: pass
    case (None): pass
    case 1, 2: pass
    case -1 | 1+2j: pass
    case (
       1): pass
    case (1,
      2): pass
    case a.b: pass
    case {'x': _}: pass
    case [_, *_]: pass
    case 'a' "b": pass
    case {}: pass
    case []: pass
    case ()  : pass
    case str(): pass
    case _: pass
""",
    "lambdas": """\
lambda: 0
lambda a, /, b=1, *, c, d=2, **k: (yield)
lambda *a, b: 0
""",
    "subscripts": """\
x[a,]
x[a:b, ::c, ...]
x[
 a,
 b,
]
x[()]
x[(a, b)]
x[*a]
x[*a, b]
x[:]
x[a:=1]
""",
    "operators": """\
a or b or c and d and (e or f) or not g
(a or b) or c
a < b <= c != d is not e not in f is g in h
-a ** -b
~a @ b // c % d << e >> f & g | h ^ i
a if b else c if d else e
not a
(a
 + b
).c
""",
    "try": """\
try:
    pass
except A:
    pass
except (B, C) as e:
    pass
except:
    pass
else:
    pass
finally:
    pass
try:
    a
except* B as c:
    d
""",
    "with": """\
with a: pass
with (a, b): pass
with (a as b,
      c as d,): pass
with (a) as b: pass
with (a, b) as c: pass
with a as (b, c), d as e[0]: pass
with (yield): pass
""",
    "delete": """\
del a, b
del (a, b)
del (a), b[0], c.d
del a
del [a, b]
""",
    "imports": """\
import a.b.c as d, e
from . import x
from ...a.b import (c as d,
   e,)
from a import *
from .. import (x)
""",
    "scopes and augmented assignment": """\
global a, b
def f():
    nonlocal a
    a += 1; b -= 2; c @= d; e //= f; g **= h; i >>= j; k <<= l; m &= n; o |= p; q ^= r; s %= t; u *= v; w /= x
""",
    "annotations": """\
x: int
x: int = 3
x.y: int
x[0]: int = 1
x: tuple = 1, 2
""",
    "f-strings": """\
f"a{x!r:>{w}.{p}} {y} {{}} {z:%Y-%m}" "tail" f"{a}"
f'{x=} {x = !s} {x=:>5}'
f\"\"\"a
{b
}
c\"\"\"
rf"\\d{x}\\n"
f"\\x41\\N{DIGIT ONE}{x}\\{y}"
f"" f"{x}"
f"plain"
f""
"a" f"b" "c"
x = ("a"
  "b"
  f"{c}"
  'd')
""",
    "strings": """\
u'x'
b'\\x00\\xff\\'' b"a"
"\\101\\x41\\u0041\\U00000041\\N{LATIN SMALL LETTER A}\\
cont\\q"
r'\\n' R"\\""
\"\"\"multi
line\"\"\"
'a' "b" \"\"\"c
d\"\"\"
u"a" "b"
""",
    "numbers and names": """\
0xff; 0o17; 0b11; 1_000; 00; 1e5; 1_0.5e-3; .5; 5.; 3j; 1e3J; 0XfF; 10**3
... ; None; True; False; __debug__
""",
    "loops and conditions": """\
if a: pass
elif b:
    pass
# c
elif c: x
else:
    y
while x: break
else: pass
for a, *b in c, d: continue
for x in (y): pass
for x, in y: pass
""",
    "classes": """\
class A: x
class B(A, metaclass=M, **k):
    \"\"\"doc\"\"\"
    def f(self): return
class C(): pass
class D(
   A,
   ): pass
""",
    "displays": """\
print(*a, *b, c, **d, e=1)
{**a, 'b': 1, **c}
{*a, b}
{}
[]
()
[*a]
{x: y for x, y in z}
{x for x in y}
(x for x in y)
((x for x in y))
(a := 1)
[a := 1, 2]
(yield)
await x
""",
    "raise and assert": """\
raise
raise A
raise A from B
assert a, b
assert (a,
 b)
return_ = 1
""",
    "tabs": """\
def f():
\tif x:
\t\treturn 1
\t
\treturn a, *b
""",
    "yield": """\
def f():
    yield
    x = yield
    y = yield from z
    yield a, b
    return
""",
    "comments in brackets": """\
x = [
  # comment
  1, # one

  2,
]
y = {
 'a': 1,
 'b'
   : 
    2,
}
""",
    "targets": """\
a = b = c = d
a, b = b, a
[a, b] = c
(a, *b), c = d
a.b[c].d = e
""",
    "trailing comments": """\
if x:
    pass
    # trailing
# dedent
y
""",
    "no newline at the end": "x = 1  # no newline at end",
}

#: Short texts where line counting is easily wrong.
LAYOUT: tuple[str, ...] = (
    "x = y[\n  None,\n  :\n] * 2\n",
    "x[\n  a\n  :\n  b\n  :\n]\n",
    "x[a,\n  :\n  ,\n]\n",
    "x[\n  a :\n  b\n]\n",
    "x[:: \n 2]\n",
    "",
    "\n",
    "# only",
    "\n\n# a\n\nx",
    "x\x0c\n\x0cy\n",
    "x = (\\\n1)\n",
    "def f(): return 1; x=2;\n",
    "x=1;\n",
    "if a:\n    x=1;y=2\nz",
    "class A:\n  # c\n\n  x=1\n\n\n# d\n",
    "for x in a, \\\n  b, \\\n  : pass\n",
    "x = a, \\\n\n\ny\n",
    "f(a)(b)[c].d(\n)\n",
    "def f(a,\n  b\n  ,*\n,\n c): pass\n",
    "x = y if (\n a) else b\n",
    "a = not\\\n b\n",
    "a is \\\nnot b\n",
    "'''\n'''.x\n",
    "x = '\\\n'\n",
    "def f() -> (\n int): pass\n",
    "async def f():\n  async  with (a,\n b): pass\n",
    "{**\\\n a}\n",
    "print((yield\\\n x))\n",
    "a = (\n  b.\n  c\n  .d\n)\n",
    "lambda x=(\n1): (\nx)\n",
    "x = 0xf if y else 1\n",
    "f(**\n{})\n",
    "f(a=\n1)\n",
    "if (a and\n  b or # c\n  d): pass\n",
    "while (x:=f(\n)): y\n",
    "'a'\\\n'b'\n",
)
