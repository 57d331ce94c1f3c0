"""Run an experiment: ``python run.py method=sp-g filler=mirror``; ``--help`` tells the rest."""

from __future__ import annotations

from genattr.__main__ import main

if __name__ == "__main__":
    main()
