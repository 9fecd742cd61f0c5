"""Lists every sentence that a user can read: on screen, in errors, and in the help of the commands.

Usage: ``python -m tests.sentences`` prints them by file; ``python -m tests.sentences REVISION`` writes
``resources/sentences.csv`` with what each was in that revision of the repository and what it is now.

A sentence is a piece of text of at least three words in the code, except docstrings other than those of commands.
Values that are filled in stand as ``{…}``.
"""

import ast
import csv
import difflib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "resources" / "sentences.csv"
ROOMS = ("src", "napari_costal")
IS_CODE = (
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "CREATE ",
    "PRAGMA ",
    "ALTER ",
    "DROP ",
    "costal.",
    "QLabel ",
)
ALIKE = 0.45  # of a difflib ratio: below it two sentences are unrelated


def sentences_of(source: str, are_commands: bool = False) -> Iterator[str]:
    """Yield what a user can read of one file's code, in its order; of commands the docstrings too, which are help."""
    tree = ast.parse(source)
    helps = {id(_help_of(node)) for node in ast.walk(tree) if are_commands}
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)} - helps
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = _text_of(node) if id(node) not in documented | inner else None
        if text is not None and len(text.split()) >= 3 and not text.lstrip().startswith(IS_CODE):
            yield " ".join(text.split())


def _help_of(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
        return None
    first = node.body[0]
    return first.value if isinstance(first, ast.Expr) else None


def _text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{…}" for part in node.values)
    return None


def _of_file(path: str, source: str) -> Iterator[str]:
    return sentences_of(source, are_commands=path.startswith("src/costal/cli/"))


def sentences_now() -> dict[str, list[str]]:
    """Return the sentences of the working tree by file."""
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {
        path.relative_to(ROOT).as_posix(): list(_of_file(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))
        for path in paths
    }


def sentences_then(revision: str) -> dict[str, list[str]]:
    """Return the sentences of `revision` by file, under the names that its files have now."""
    moved = dict(
        line.split("\t")[1:]
        for line in _git("diff", "-M40%", "--diff-filter=R", "--name-status", revision).splitlines()
    )
    paths = [
        path for path in _git("ls-tree", "-r", "--name-only", revision, *ROOMS).splitlines() if path.endswith(".py")
    ]
    return {moved.get(path, path): list(_of_file(path, _git("show", f"{revision}:{path}"))) for path in paths}


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout


def pairs(then: dict[str, list[str]], now: dict[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(file, before, after)``: each new sentence with the one it resembles most, then those that are gone."""
    lost: dict[str, list[str]] = defaultdict(list)
    everywhere_now = {text for texts in now.values() for text in texts}
    everywhere_then = {text for texts in then.values() for text in texts}
    for path, texts in then.items():
        lost[path] = [text for text in dict.fromkeys(texts) if text not in everywhere_now]
    for path in sorted(now):
        for text in dict.fromkeys(now[path]):
            if text in everywhere_then:
                yield path, text, text
                continue
            nearest = max(lost[path], key=lambda each: _similarity(each, text), default="")
            if nearest and _similarity(nearest, text) >= ALIKE:
                lost[path].remove(nearest)
                yield path, nearest, text
            else:
                yield path, "", text
    for path in sorted(lost):
        yield from ((path, text, "") for text in lost[path])


def _similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def main() -> None:
    """Print the sentences, or write the list of what they were and are."""
    if len(sys.argv) == 1:
        for path, texts in sentences_now().items():
            print("\n".join((f"== {path}", *texts)) if texts else f"== {path}")
        return
    with LIST.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(("file", "before", "now"))
        sheet.writerows(pairs(sentences_then(sys.argv[1]), sentences_now()))


if __name__ == "__main__":
    main()
