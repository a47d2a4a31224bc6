"""``python -m Speckle2SelfLogic`` is the same as ``speckle2self``."""

from Speckle2SelfLogic.cli import main

if __name__ == "__main__":
    main()
