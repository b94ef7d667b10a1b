"""Static files under hashed names, also where one JavaScript module imports another."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage

# Django's own patterns (`support_js_module_import_aggregation`) also take what stands in comments of packages' files.
IMPORTS = (
    (r"""(?P<matched>\bfrom "(?P<url>\./[\w-]+\.js)";)""", 'from "%(url)s";'),
    (r"""(?P<matched>\bimport\("(?P<url>\./[\w-]+\.js)"\))""", 'import("%(url)s")'),
)


class Storage(CompressedManifestStaticFilesStorage):
    """Also replaces the names in `import … from "./name.js";` and `import("./name.js")` by the hashed ones.

    Under its plain name a browser could keep an old module beside new ones.
    """

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("*.js", IMPORTS))
