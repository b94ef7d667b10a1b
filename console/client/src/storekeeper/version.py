"""Which release this is: the console's own, whose calls it knows."""

VERSION = "0.1.0"
