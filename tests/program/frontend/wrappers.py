# ruff: noqa: E501 (one packed script a line)
"""Packed scripts of every spelling, made on the fly from the same small program inside."""

from __future__ import annotations

import base64
import bz2
import codecs
import gzip
import lzma
import marshal
import zlib
from collections.abc import Callable

import brotli
import zstandard

INNER = 'print("inner code")\nx = 1\n'
RAW = INNER.encode()
_FILTERS = [{"id": lzma.FILTER_LZMA2}]


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


_Z = b85(zlib.compress(RAW))
_L = b85(lzma.compress(RAW))
_R = b85(lzma.compress(RAW, format=lzma.FORMAT_RAW, filters=_FILTERS))
_XOR = bytes(byte ^ b"key"[index % 3] for index, byte in enumerate(RAW))
_DECODED = f"zlib.decompress(base64.b85decode('{_Z}'))"
_IMPORT = "import zlib,base64,os,sys,tempfile,subprocess,runpy\n"


def layered(count: int, inner: str = INNER) -> str:
    for _ in range(count):
        inner = f"import zlib,base64\nexec(zlib.decompress(base64.b85decode('{b85(zlib.compress(inner.encode()))}')))"
    return inner


PACKED: dict[str, str] = {
    "lzma, aliases": f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode('{_L}')))",
    "one line": f'import lzma,base64;exec(lzma.decompress(base64.b85decode("{_L}")))',
    "lzma raw": f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode('{_R}'),format=L.FORMAT_RAW,"
    "filters=[{'id':L.FILTER_LZMA2}]))",
    "lzma raw, preset": f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode('{_R}'),format=L.FORMAT_RAW,"
    "filters=[{'id':L.FILTER_LZMA2,'preset':9|L.PRESET_EXTREME}]))",
    "lzma raw, numbers": f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{_R}'),3,None,[{{'id':33}}]))",
    "lzma decompressor": f"import lzma,base64\nexec(lzma.LZMADecompressor().decompress(base64.b85decode('{_L}')))",
    "several xz streams": f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('"
    f"{b85(lzma.compress(RAW[:9]) + lzma.compress(RAW[9:]))}')))",
    "__import__": f"exec(__import__('zlib').decompress(__import__('base64').b85decode('{_Z}')))",
    "importlib": "import importlib\nz=importlib.import_module('zl'+'ib');b=importlib.import_module('base64')\n"
    f"exec(z.decompress(b.b85decode('{_Z}')))",
    "star imports, a85": f"from zlib import *\nfrom base64 import *\nexec(decompress(a85decode({base64.a85encode(zlib.compress(RAW))!r})))",
    "b64": f"from base64 import b64decode as d\nfrom zlib import decompress as z\nexec(z(d({base64.b64encode(zlib.compress(RAW))!r})))",
    "bz2, hex": f"import bz2\nexec(bz2.decompress(bytes.fromhex('{bz2.compress(RAW).hex()}')))",
    "binascii, gzip": f"import binascii,gzip\nd=gzip.decompress(binascii.unhexlify('{gzip.compress(RAW).hex()}'))\n"
    "exec(compile(d.decode('utf-8'),'<x>','exec'),globals())",
    "brotli": f"import brotli as B,base64 as b\nexec(B.decompress(b.b85decode('{b85(brotli.compress(RAW))}')))",
    "zstandard": f"import zstandard as z,base64\nexec(z.ZstdDecompressor().decompress(base64.b85decode('{b85(zstandard.compress(RAW))}')).decode())",
    "zstandard stream": "import zstandard as z,base64,io\nexec(z.ZstdDecompressor().stream_reader(io.BytesIO("
    f"base64.b85decode('{b85(zstandard.compress(RAW))}'))).read())",
    "zlib object": f"import zlib,base64\nd=zlib.decompressobj()\nexec(d.decompress(base64.b85decode('{_Z}'))+d.flush())",
    "bytes literal": f"import zlib\nexec(zlib.decompress({zlib.compress(RAW)!r}))",
    "globals()": f"{_IMPORT}g=globals();e=getattr(g['__builtins__'],'ex'+'ec');e({_DECODED})",
    "getattr": f"{_IMPORT}getattr(__import__('builtins'),'exec')(getattr(zlib,'de'+'compress')(base64.b85decode('{_Z}')))",
    "alias of exec": f"{_IMPORT}run=exec\nrun({_DECODED})",
    "literals in a tuple": "import zlib,base64\n_D=("
    + "".join(f"{_Z[i : i + 7]!r}," for i in range(0, len(_Z), 7))
    + ")\nexec(zlib.decompress(base64.b85decode(''.join(_D))))",
    "adjacent literals": "import zlib,base64\nexec(zlib.decompress(base64.b85decode("
    + "".join(f"{_Z[i : i + 7]!r}" for i in range(0, len(_Z), 7))
    + ")))",
    "replace": f"import zlib,base64\ns=b'''\n{_Z}\n'''\nexec(zlib.decompress(base64.b85decode(s.replace(b'\\n',b''))).decode('utf-8'))",
    "xor function": "def dec(data,key):\n    out=bytearray()\n    for i,b in enumerate(data):\n"
    f"        out.append(b ^ key[i % len(key)])\n    return bytes(out)\nexec(dec({_XOR!r},b'key').decode())",
    "xor with cycle": f"from itertools import cycle\nexec(bytes(a^b for a,b in zip({_XOR!r},cycle(b'key'))))",
    "rot13": f"import codecs\nexec(codecs.decode({codecs.encode(INNER, 'rot13')!r},'rot13'))",
    "character codes": f"exec(''.join(map(chr,{list(RAW)!r})))",
    "translate": "t=bytes((i-3)%256 for i in range(256))\n"
    f"exec({bytes((byte + 3) % 256 for byte in RAW)!r}.translate(t))",
    "reversed": f"exec({INNER[::-1]!r}[::-1])",
    "big number": f"n={int.from_bytes(RAW, 'big')}\nexec(n.to_bytes({len(RAW)},'big'))",
    "in main()": f"{_IMPORT}def main():\n    src={_DECODED}\n    exec(src,globals())\nif __name__=='__main__':\n    main()",
    "lambda": f"(lambda z,b:exec(z.decompress(b.b85decode('{_Z}'))))(__import__('zlib'),__import__('base64'))",
    "partial": f"{_IMPORT}from functools import partial\nf=partial(zlib.decompress)\nexec(f(base64.b85decode('{_Z}')))",
    "comprehension": f"{_IMPORT}[exec(s) for s in [zlib.decompress(base64.b85decode(d:='{_Z}'))]]",
    "map(exec)": f"{_IMPORT}list(map(exec,[{_DECODED}]))",
    "class body": f"{_IMPORT}class Run:\n    exec({_DECODED})",
    "try": f"import base64\ntry:\n    import zlib\n    s={_DECODED}\nexcept ImportError:\n    raise SystemExit('x')\nexec(s)",
    "namespace": f"{_IMPORT}ns={{'__name__':'__main__','__file__':__file__}}\nexec({_DECODED},ns)",
    "linecache": f"{_IMPORT}import linecache as C\nS={_DECODED}\nS=S.decode()\nF=__file__+'.d.py'\n"
    "C.cache[F]=(len(S),None,S.splitlines(True),F)\nexec(compile(S,F,'exec'))",
    "eval of compiled": f"{_IMPORT}eval(compile({_DECODED},'x','exec'))",
    "eval of text": f"eval(\"exec(__import__('zlib').decompress(__import__('base64').b85decode('{_Z}')))\")",
    "FunctionType": f"{_IMPORT}import types\ntypes.FunctionType(compile({_DECODED},'x','exec'),globals())()",
    "temporary file, runpy": f"{_IMPORT}with tempfile.NamedTemporaryFile('wb',suffix='.py',delete=False) as f:\n"
    f"    f.write({_DECODED})\nrunpy.run_path(f.name,run_name='__main__')",
    "temporary file, subprocess": f"{_IMPORT}p=os.path.join(tempfile.mkdtemp(),'t.py')\nopen(p,'wb').write({_DECODED})\n"
    "subprocess.run([sys.executable,p,*sys.argv[1:]],check=True)",
    "temporary file, execv": f"{_IMPORT}from pathlib import Path\np=Path('/tmp/x.py')\np.write_bytes({_DECODED})\n"
    "os.execv(sys.executable,[sys.executable,str(p)])",
    "temporary file, exec": f"{_IMPORT}d=tempfile.mkdtemp()\np=os.path.join(d,'r.py')\nopen(p,'w').write({_DECODED}.decode())\n"
    "exec(open(os.path.join(d,'r.py')).read())",
    "temporary file, import": f"{_IMPORT}open(os.path.join(os.path.dirname(__file__),'_inner.py'),'wb').write({_DECODED})\nimport _inner",
    "module loader": f"{_IMPORT}import importlib.util as u\np='/tmp/m.py'\nwith open(p,'wb') as f:\n f.write({_DECODED})\n"
    "s=u.spec_from_file_location('__main__',p)\nm=u.module_from_spec(s)\nsys.modules['__main__']=m\ns.loader.exec_module(m)",
    "python -c": f"{_IMPORT}subprocess.run([sys.executable,'-c',{_DECODED}.decode()])",
    "environment first": f"{_IMPORT}os.environ.setdefault('A','1');os.environ['B']='2';os.environ.update(C='3')\nexec({_DECODED})",
    "two layers": layered(2),
    "three layers": layered(3),
    "other file": "exec(open(__file__.replace('train_gpt.py','train_real.py')).read())",
    "other packed file": "import os,lzma\nexec(compile(lzma.open(os.path.join(os.path.dirname(os.path.abspath(__file__)),"
    "'code.xz')).read(),'x','exec'))",
    "pathlib": "import lzma, pathlib\nsrc = lzma.decompress(pathlib.Path(__file__).with_suffix('.py.xz').read_bytes())\n"
    "exec(compile(src, __file__, 'exec'))",
}  # fmt: skip

FILES: dict[str, bytes] = {
    "train_real.py": RAW,
    "code.xz": lzma.compress(RAW),
    "train_gpt.py.xz": lzma.compress(RAW),
}


def _bomb(module: str, compress: Callable[[bytes], bytes]) -> str:
    return f"import {module},base64\nexec({module}.decompress(base64.b85decode('{b85(compress(b'#' * 20_000_000))}')))"


_MARSHALLED = b85(marshal.dumps(compile(INNER, "x", "exec")))
REFUSED: dict[str, tuple[str, str]] = {
    "marshal": (f"import marshal,base64\nexec(marshal.loads(base64.b85decode('{_MARSHALLED}')))", "marshal"),
    "marshal inside": (layered(1, f"import marshal,base64\nexec(marshal.loads(base64.b85decode('{_MARSHALLED}')))"), "layer 1"),
    "pickle": ("import pickle\nexec(pickle.loads(b'xx'))", "pickle"),
    "network": ("import urllib.request\nexec(urllib.request.urlopen('http://example.org').read())", "network"),
    "typed in": ("exec(input())", "input"),
    "unknown decoder": ("import mycodec\nexec(mycodec.unpack('abc'))", "mycodec.unpack"),
    "missing file": ("import pathlib,lzma\nexec(lzma.decompress((pathlib.Path(__file__).parent/'nope.xz').read_bytes()))", "nope.xz"),
    "damaged data": (f"import lzma,base64\nexec(lzma.decompress(base64.b85decode('{_L[:-20]}')))", "lzma"),
    "too many layers": (layered(6), "4 layers"),
    "lzma bomb": (_bomb("lzma", lzma.compress), "100 times"),
    "zlib bomb": (_bomb("zlib", zlib.compress), "100 times"),
    "bz2 bomb": (_bomb("bz2", bz2.compress), "100 times"),
    "brotli bomb": (_bomb("brotli", brotli.compress), "100 times"),
    "zstd bomb": (_bomb("zstandard", zstandard.compress), "100 times"),
    "repetition": ("exec('#'*10**12)", "8,000,000"),
    "endless loop": ("i=0\nwhile True:\n    i+=1\nexec(i)", "steps"),
    "doubling": ("x='a'\nfor i in range(100):\n    x+=x\nexec(x)", "items"),
    "power": ("exec(str(9**9**9))", "power"),
    "padding": ("exec('x'.ljust(10**10))", "items"),
    "wide format": ("exec('%99999999999d' % 1)", "wide"),
    "endless recursion": ("def f(x):\n    return f(x)\nexec(f(1))", "deeply"),
}  # fmt: skip
