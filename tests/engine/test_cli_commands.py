import subprocess
import sys

import pytest

from costal.cli.commands import TABLE, Loaded

HEAVY = {"numpy", "pandas", "scipy", "matplotlib", "PIL", "torch", "tifffile", "skimage", "sqlite3"}


def loaded_by(*arguments):
    """Return what a command line prints, and which top-level modules its process holds at the end."""
    script = (
        "import sys\n"
        "from costal.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)
    return ran.stdout, set(ran.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("nothing",)], ids=" ".join)
def test_a_list_of_commands_loads_none_of_them(arguments):
    _, loaded = loaded_by(*arguments)
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_importing_the_command_line_loads_not_even_typer():
    script = "import sys, costal.cli; sys.stdout.write(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in ran.stdout.split()} & {"typer", "rich", *HEAVY} == set()


def test_a_command_loads_what_it_needs_and_pandas_with_the_first_table():
    text, loaded = loaded_by("score", "--help")
    assert "--project" in text
    assert "numpy" in loaded and "pandas" not in loaded


def test_help_lists_all_commands_in_the_order_of_the_table(costal):
    _, text, _ = costal("--help")
    lines = [line.strip(" │\n") for line in text.splitlines()]
    listed = [line.split() for line in lines if line.partition(" ")[0] in TABLE]
    assert [words[0] for words in listed] == list(TABLE)
    assert [" ".join(words[1:]) for words in listed] == [entry.summary for entry in TABLE.values()]


def test_a_summary_is_the_first_sentence_of_the_help_of_the_command():
    first = {}
    for name in TABLE:
        sentence, stop, _ = " ".join(Loaded()[name].help.split()).partition(". ")
        first[name] = sentence + "." * bool(stop)
    assert first == {name: entry.summary for name, entry in TABLE.items()}


def test_the_table_holds_every_command_that_a_module_registers():
    import importlib

    import typer

    registered = set()
    for module in {entry.module for entry in TABLE.values()}:
        app = typer.Typer()
        importlib.import_module(f"costal.cli.{module}").register(app)
        registered |= {(name, module) for name in typer.main.get_group(app).commands}
    assert registered == {(name, entry.module) for name, entry in TABLE.items()}


def test_a_command_mistyped_is_answered_with_the_one_meant(costal):
    code, _, error = costal("scoer")
    assert code == 2
    assert "'score'" in error
