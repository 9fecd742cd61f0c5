"""The reference of the command line names every command and option, and none that does not exist."""

import re

import pytest

from tests.reference import MARK, PAGE, commands, options_of, page

COMMANDS = dict(commands())
TEXT = PAGE.read_text("utf-8")
MADE = TEXT.partition(MARK)[2]
SECTIONS = {part.partition("\n")[0].strip("`"): part for part in MADE.split("\n### ")[1:]}


def test_the_reference_is_what_the_commands_say_today():
    assert page(TEXT) == TEXT, "run `python -m tests.reference`, and read what it wrote"


def test_the_reference_has_every_command_and_no_other():
    assert sorted(SECTIONS) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option_of_a_command_and_no_other(name):
    spellings = re.findall(r"^\|.*?\| ", SECTIONS[name], re.MULTILINE)
    named = [each for row in spellings for each in re.findall(r"`(--?[\w-]+)", row)]
    assert sorted(named) == sorted(options_of(COMMANDS[name]))
