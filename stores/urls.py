from django.urls import path

from stores import orphan_views, posture_views, preflight_views, views

app_name = "stores"
urlpatterns = [
    path("", views.store_list, name="list"),
    path("orphans/", orphan_views.orphan_list, name="orphan_list"),
    path("orphans/<uuid:account>/look/", orphan_views.orphan_look, name="orphan_look"),
    path("orphans/<uuid:account>/<str:bucket>/adopt/", orphan_views.orphan_adopt, name="orphan_adopt"),
    path("orphans/<uuid:account>/<str:bucket>/forget/", orphan_views.orphan_forget, name="orphan_forget"),
    path("orphans/<uuid:account>/<str:bucket>/remember/", orphan_views.orphan_remember, name="orphan_remember"),
    path("create/", views.store_create, name="create"),
    path("calculator/", views.store_calculator, name="calculator"),
    path("preflight/", preflight_views.preflight_notice, name="preflight_notice"),
    path("preflight/<uuid:pk>/", preflight_views.preflight_table, name="preflight_table"),
    path("preflight/<uuid:pk>/check/", preflight_views.preflight_check, name="preflight_check"),
    path("<uuid:pk>/", views.store_detail, name="detail"),
    path("<uuid:pk>/delete/", views.store_delete, name="delete"),
    path("<uuid:pk>/dossier/", views.store_dossier, name="dossier"),
    path("<uuid:pk>/cancel/", views.store_cancel, name="cancel"),
    path("<uuid:pk>/retry/", views.store_retry, name="retry"),
    path("<uuid:pk>/verify/", posture_views.store_verify, name="verify"),
    path("<uuid:pk>/repair/", posture_views.store_repair, name="repair"),
    path("<uuid:pk>/accept/", posture_views.store_accept, name="accept"),
    path("<uuid:pk>/reconsider/", posture_views.store_reconsider, name="reconsider"),
]
