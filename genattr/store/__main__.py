"""``python -m genattr.store`` lists, verifies and prunes heatmaps; ``--help`` explains how."""

from __future__ import annotations

from genattr.store.inventory import main

if __name__ == "__main__":
    main()
