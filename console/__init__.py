"""The project: glue that names the apps, and web tools that know none of them."""

from console.starting import load, say_plainly

say_plainly()
load()
