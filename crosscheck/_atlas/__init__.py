"""The atlas: every disagreement of a run as one row, how two atlases differ, and what the usual checks see of it."""
