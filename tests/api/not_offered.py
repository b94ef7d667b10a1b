"""Pages that have no call of the API on purpose, each with its reason."""

NOT_OFFERED = {
    "organisation/leave/": "is a person's own: they say again that it is they, and a token of theirs would end itself",
    "help/": "is read by people; its text is in the project's docs/",
    "help/<path:chapter>/": "is read by people; its text is in the project's docs/",
}
