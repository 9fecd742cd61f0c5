"""What the documents promise is there: links, headings, pictures, commands, options, and the example in Python."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference import commands, options_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", ".napari-hub/DESCRIPTION.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`[^`]+`")
COMMANDS = dict(commands())
OPTIONS = {"--help"}.union(*map(options_of, COMMANDS.values()))
GROUPS = {name.rpartition(" ")[0] for name in COMMANDS}


def text_of(page):
    return page.read_text("utf-8")


def prose_of(page):
    """Return a page without its fenced blocks."""
    return FENCED.sub("", text_of(page))


def links_of(page):
    """Return where the links and pictures of a page lead, within the repository."""
    targets = [target for target in LINK.findall(prose_of(page)) if not re.match(r"(https?|mailto):", target)]
    return [(page, target) for target in targets]


def anchors_of(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def command_lines():
    """Return the lines of all fenced blocks that run ``costal``, without comments."""
    lines = []
    for page in PAGES:
        for language, block in FENCED.findall(text_of(page)):
            if language in {"sh", "powershell"}:
                parts = re.split(r"&&|[;{}]|\n", re.sub(r"\s[#>].*", "", block))
                lines += [(page, part.strip()) for part in parts if part.strip().startswith("costal ")]
    return lines


def named(value):
    return value.name if isinstance(value, Path) else None


@pytest.mark.parametrize(("page", "target"), [each for page in PAGES for each in links_of(page)], ids=named)
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page, target):
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    assert place.exists()
    assert place.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors_of(place)


@pytest.mark.parametrize(("page", "line"), command_lines(), ids=named)
def test_a_command_of_the_documents_is_one_that_the_program_takes(page, line):
    name, command, *rest = "costal", None, *shlex.split(line)[1:]
    while command is None:
        name = f"{name} {rest.pop(0)}"
        command = COMMANDS.get(name)
    command.make_context(name, rest)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_options_in_the_text_exist(page):
    for span in CODE.findall(prose_of(page)):
        words = span.strip("`").split()
        if words[:1] == ["python"] or words[:1] == ["git"]:
            continue
        command = next((name for name in COMMANDS if f"{' '.join(words)} ".startswith(f"{name} ")), "")
        if words[0] == "costal" and len(words) > 1 and not words[1].startswith("-"):
            assert command or " ".join(words) in GROUPS, span
        known = {"--help", *options_of(COMMANDS[command])} if command else OPTIONS
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", span)) <= known, span


def test_the_readme_is_short_enough_to_be_read():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 130


def test_every_document_is_in_the_readmes_index():
    linked = {target for _, target in links_of(ROOT / "README.md")}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_the_example_in_python_runs_and_asks_and_learns():
    (example,) = [block for language, block in FENCED.findall(text_of(ROOT / "docs/python.md")) if language == "python"]
    checks = (
        "assert len(set(query.picked_n.tolist())) == 5 and agent.label_count == 25 and agent.cost_model is not None"
    )
    ran = subprocess.run([sys.executable, "-c", f"{example}\n{checks}"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
