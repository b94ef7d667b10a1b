"""Pages that have no call of the API on purpose, each with its reason."""

NOT_OFFERED = {
    "stores/<uuid:pk>/verified/": "is asked by a message on a page; GET /stores/{pk}/drift has what was found",
    "tasks/<uuid:pk>/outcome/": "is asked by a message on a page; GET /tasks/{pk} has how the task ended",
    "organisation/leave/": "is a person's own: they say again that it is they, and a token of theirs would end itself",
    "help/": "is read by people; its text is in the project's docs/",
    "help/<path:chapter>/": "is read by people; its text is in the project's docs/",
}
