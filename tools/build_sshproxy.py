"""Make one executable file of ``sshProxy``: ``build_sshproxy.py OUT [--python PATH | --portable]``.

The parts of ``landbridge_wire`` and ``landbridge_client`` are put one after another, their
imports of each other taken out, docstrings and annotations too, as the file is compiled at
every start. The same sources give the same bytes. The result is run once with --version.

The first line names an absolute interpreter with ``-ISE``: no site, no user paths and no
PYTHON* variables, which saves 25 ms and keeps a user's environment out.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = [
    "packages/wire/src/landbridge_wire/version.py",
    "packages/wire/src/landbridge_wire/websocket.py",
    "packages/wire/src/landbridge_wire/upgrade.py",
    "packages/client/src/landbridge_client/relay_info.py",
    "packages/client/src/landbridge_client/dialling.py",
    "packages/client/src/landbridge_client/pump.py",
    "packages/client/src/landbridge_client/main.py",
]


class _Strip(ast.NodeTransformer):
    """Takes out what the bundle does not need at run time."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if (node.module or "").startswith("landbridge_"):
            return None
        return None if node.module == "__future__" else node

    def visit_If(self, node: ast.If) -> ast.stmt | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return None if names == ["TYPE_CHECKING"] else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.returns = None
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        return None if isinstance(node.value, ast.Constant) else node


def _top_level(tree: ast.Module) -> set[str]:
    """Return the names that a part defines."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            targets = [each for target in node.targets for each in ast.walk(target)]
            names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return names


def _with_bodies(tree: ast.Module) -> ast.Module:
    """Put ``pass`` where a body is empty now."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.body:
            node.body = [ast.Pass()]
    return ast.fix_missing_locations(tree)


def bundle(root: Path = ROOT) -> str:
    """Return the source of the one file, without its first line.

    Raises:
        SystemExit: two parts define the same name.
    """
    seen: dict[str, str] = {}
    texts = []
    for part in PARTS:
        tree = _with_bodies(_Strip().visit(ast.parse((root / part).read_text(encoding="utf-8"))))
        for name in _top_level(tree):
            if name in seen:
                raise SystemExit(f"{part} and {seen[name]} both define '{name}': rename one.")
            seen[name] = part
        texts.append(f"# {part}\n{ast.unparse(tree)}\n")
    return "".join(texts)


def build(out: Path, shebang: str) -> None:
    """Write the executable and try it.

    Raises:
        SystemExit: it does not run.
    """
    header = f"#!{shebang}\n# sshProxy of Landbridge, MIT. Made by tools/build_sshproxy.py; do not edit.\n"
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.write_text(header + bundle(), encoding="utf-8")
    temporary.chmod(0o755)
    done = subprocess.run([temporary, "--version"], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.startswith("sshProxy "):
        temporary.unlink()
        raise SystemExit(f"The built sshProxy does not run: {done.stderr.strip()}")
    temporary.replace(out)


def main() -> None:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(description="Make one executable file of sshProxy.")
    parser.add_argument("out", type=Path, help="where to write it")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of its first line")
    parser.add_argument("--portable", action="store_true", help="use /usr/bin/env python3 instead")
    arguments = parser.parse_args()
    # A venv's python must find its pyvenv.cfg: -I and -S skip that, so the real one is named.
    real = os.path.realpath(arguments.python)
    build(arguments.out, "/usr/bin/env -S python3 -ISE" if arguments.portable else f"{real} -ISE")


if __name__ == "__main__":
    main()
