"""The public address, written into every description of the extension from the one place that decides it.

`python -m Testing.slicer.descriptions` takes the address from the line set(Speckle2Self_REPOSITORY ...) of the top
CMakeLists.txt; with an argument OWNER/NAME it changes that line first.
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("CMakeLists.txt", "Speckle2Self.s4ext", "Speckle2Self.json")
DECIDED_HERE = re.compile(r'(?m)^(set\(Speckle2Self_REPOSITORY ")([^"]*)("\))$')
# Every address on GitHub but those of Slicer's own schemas.
ADDRESS = re.compile(r"(https://(?:raw\.githubusercontent|github)\.com/)(?!Slicer/Slicer/)[^/\s\"]+/[^/\s\".]+")
OWNER_AND_NAME = re.compile(r"[A-Za-z0-9][\w-]*/Slicer[\w-]+")


def repository(root=ROOT):
    """Return OWNER/NAME as the one place has it."""
    return DECIDED_HERE.search((root / "CMakeLists.txt").read_text(encoding="utf-8"))[2]


def with_address(text, owner_and_name):
    """Return the text of a description with all of its addresses leading to one repository."""
    return ADDRESS.sub(rf"\g<1>{owner_and_name}", text)


def out_of_step(root=ROOT):
    """Return the files that have another address than the one place."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in FILES}
    return [name for name, text in texts.items() if with_address(text, repository(root)) != text]


def write(root=ROOT, owner_and_name=None):
    """Write the address into every description and return the files that changed."""
    if owner_and_name is not None:
        if not OWNER_AND_NAME.fullmatch(owner_and_name):
            message = f"'{owner_and_name}' is no OWNER/NAME with a name that starts with 'Slicer'."
            raise SystemExit(message)
        top = root / "CMakeLists.txt"
        decided = DECIDED_HERE.sub(rf"\g<1>{owner_and_name}\g<3>", top.read_text(encoding="utf-8"))
        top.write_text(decided, encoding="utf-8", newline="\n")
    changed = out_of_step(root)
    for name in changed:
        text = with_address((root / name).read_text(encoding="utf-8"), repository(root))
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    return changed


def cmake_variables(folder):
    """Return the values of set(NAME VALUE...) of a folder's CMakeLists.txt, with variables replaced."""
    text = re.sub(r"(?m)^\s*#.*$", "", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    variables = {}
    for name, value in re.findall(r"(?s)\bset\((\w+)\s+(.*?)\s*\)(?=\n)", text):
        known = re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], match[0]), value)
        variables[name] = known[1:-1] if known.startswith('"') else known
    return variables


def s4ext_values(path):
    """Return keys and values of an .s4ext file, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(key, value) for key, _, value in pairs]


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m Testing.slicer.descriptions", description=__doc__)
    parser.add_argument("repository", nargs="?", metavar="OWNER/NAME", help="the new address, if it changes")
    changed = write(owner_and_name=parser.parse_args().repository)
    print(f"{repository()}: {', '.join(changed) or 'nothing'} changed.")  # noqa: T201


if __name__ == "__main__":
    main()
