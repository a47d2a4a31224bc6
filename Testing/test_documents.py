"""The documents are held against the software."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("snippet", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_in_the_readme_runs(snippet, capsys):
    exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("True 1")


def test_pictures_and_files_named_in_the_readme_exist():
    for target in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / target).is_file(), target


def test_make_targets_named_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_every_option_shown_in_the_readme_is_known_to_its_command():
    from typer.main import get_command

    from Speckle2SelfLogic import cli

    cli._add_commands()  # of training, as the command line itself does
    for words in re.findall(r"^speckle2self (\w.*)$", README, re.MULTILINE):
        command, *rest = words.split("#")[0].split()
        known = get_command(cli.app).commands[command]
        while getattr(known, "commands", None):
            known = known.commands[rest.pop(0)]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words


def test_no_python_file_is_longer_than_400_lines():
    for folder in ("Speckle2SelfLogic", "Training", "Speckle2SelfSlicer"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a git checkout")
def test_the_repository_stays_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = [(ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert sum(sizes) < 50e6
    assert max(sizes) < 10e6
