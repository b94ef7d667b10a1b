"""The way back: recovery kits, restores, and what was deleted and can still be had."""
