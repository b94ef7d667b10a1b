"""Pages that have no call of the API yet: whoever writes the call takes the line away."""

NOT_YET = {
    "clusters/<uuid:pk>/hand-over/back/",
    "clusters/bring-in/lists/<uuid:batch>/forget/",
    "clusters/evidence/",
    "clusters/proximity/",
    "clusters/repositories/<int:pk>/recover-deleted/",
    "clusters/repositories/<int:pk>/recover-deleted/identity/",
    "clusters/repositories/<int:pk>/recover-deleted/identity/end/",
    "clusters/repositories/<int:pk>/recover-deleted/setup.sh",
    "clusters/repositories/<int:pk>/recover-deleted/undelete",
}
