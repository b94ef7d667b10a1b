"""A region is named by its code, its city or its country, as people write them, in every form that asks for one."""

from __future__ import annotations

import pytest
from django.forms import BaseForm
from django.http import QueryDict

from clusters.bring_in.forms import BringInForm
from clusters.forms import AddNodesForm, ClusterForm
from clusters.models import Cluster, Node
from console.cloud_accounts.models import CloudAccount
from console.clouds.contract import LinkError
from console.clouds.regions import distance_km, matching, meant, nearest_first, regions, table
from console.clouds.s3 import linking
from stores.existing.forms import ExistingForm
from stores.forms import StoreForm, near_nodes
from stores.models import Store
from tests import factories, walk

CLOUDS = sorted({provider for provider, _ in table()})


def written(text):
    """The same as people type it."""
    return text, text.upper(), text.lower(), f"  {text}\t"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_code_whatever_else_has_that_name(cloud):
    for region in regions(cloud):
        for text in written(region.code):
            assert matching(text, regions(cloud)) == [region]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_city_and_its_place(cloud):
    for region in regions(cloud):
        same = [one for one in regions(cloud) if one.place == region.place]
        for text in (*written(region.city), *written(region.place)):
            assert matching(text, regions(cloud)) == same


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_found_by_its_country_with_all_others_of_it(cloud):
    for region in regions(cloud):
        same = [one for one in regions(cloud) if one.country == region.country]
        for text in written(region.country):
            assert matching(text, regions(cloud)) == same


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_is_among_those_of_its_own_name(cloud):
    for region in regions(cloud):
        for text in written(region.name):
            assert region in matching(text, regions(cloud))


@pytest.mark.parametrize("text", ["", " ", "-", "東京", "eu", "west", "irel", "Ireland, Dublin"])
def test_what_names_no_region_finds_none(text):
    assert matching(text, regions("aws")) == []


@pytest.mark.parametrize(
    ("cloud", "text", "code"),
    [
        ("aws", "Ireland", "eu-west-1"),
        ("aws", "LONDON", "eu-west-2"),
        ("aws", "dublin, ireland", "eu-west-1"),
        ("aws", "sao paulo", "sa-east-1"),
        ("aws", "Europe (Ireland)", "eu-west-1"),
        ("aws", "Ohio", "us-east-2"),
        ("azure", "West Europe", "westeurope"),
        ("azure", "Hong Kong", "eastasia"),
        ("google", "iowa", "us-central1"),
        ("google", "Montréal", "northamerica-northeast1"),
    ],
)
def test_places_that_people_type(cloud, text, code):
    assert [region.code for region in matching(text, regions(cloud))] == [code]


def reached(organisation, region):
    """An account that reaches the region."""
    if region.provider == "aws":
        found = CloudAccount.objects.filter(partition=region.partition).first()
        return found or factories.account(organisation, name=region.partition, partition=region.partition)
    make = {"azure": factories.azure, "google": factories.google, "s3": factories.server}[region.provider]
    return CloudAccount.objects.filter(provider_key=region.provider).first() or make(organisation)


def store_form(organisation, account, text):
    data = {"provider": account.provider_key, "name": "new", "cloud_account": str(account.pk), "region": text}
    return StoreForm(data, membership=organisation.memberships.get())


def nodes_form(account, *texts):
    data = QueryDict(mutable=True)
    data.setlist("regions", texts)
    return AddNodesForm(data, cluster=Cluster(cloud_account=account))


@pytest.mark.slow
@pytest.mark.parametrize("cloud", CLOUDS)
def test_both_forms_take_code_city_and_country_or_name_the_codes(cloud, alice, acme):
    for region in regions(cloud):
        account = reached(acme, region)
        offered = account.regions
        for text in (region.code, region.city, region.country, f" {region.city.upper()} ", region.country.lower()):
            found = [one.code for one in matching(text, offered)]
            forms = [(nodes_form(account, text), "regions")]
            if not account.cloud.storage.one_region:
                forms.append((store_form(acme, account, text), "region"))
            for form, field in forms:
                if len(found) == 1:
                    assert form.is_valid(), (text, form.errors)
                    assert form.cleaned_data[field] in (found[0], found)
                else:
                    assert not form.is_valid()
                    assert set(form.errors) == {field}
                    for code in found:
                        assert code in form.errors[field][0]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_store_is_created_at_a_place(client, alice, acme, headers):
    client.force_login(alice)
    account = factories.account(acme)
    given = {"provider": "aws", "name": "orders", "cloud_account": str(account.pk), "region": "  ireland "}
    assert client.post("/stores/create/", given, headers=headers).status_code < 400
    assert Store.objects.get().region == "eu-west-1"


@pytest.mark.parametrize(
    ("cloud", "text", "codes"),
    [
        ("aws", "pari", ["eu-west-3"]),
        ("aws", "IREL", ["eu-west-1"]),
        ("azure", "São", ["brazilsouth"]),
        ("aws", "ap-northeast", ["ap-northeast-1", "ap-northeast-2", "ap-northeast-3"]),
        ("aws", "ir", []),
        ("aws", "reland", []),
        ("aws", "", []),
    ],
)
def test_the_beginning_of_a_name_will_do_where_it_is_of_one_region(cloud, text, codes, acme, alice):
    assert [region.code for region in meant(text, regions(cloud))] == codes
    assert meant("London", regions(cloud)) == matching("London", regions(cloud))
    account = factories.account(acme) if cloud == "aws" else factories.azure(acme)
    form = store_form(acme, account, text)
    assert form.is_valid() == (len(codes) == 1)
    if len(codes) > 1:
        assert f"There are {len(codes)} regions that begin with {text}: {codes[0]} (" in form.errors["region"][0]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_what_names_several_regions_is_answered_with_their_codes_beside_the_field(client, alice, acme, headers):
    client.force_login(alice)
    account = factories.account(acme)
    given = {"provider": "aws", "name": "orders", "cloud_account": str(account.pk), "region": "japan"}
    answer = client.post("/stores/create/", given, headers=headers)
    assert answer.status_code == 422
    (said,) = answer.context["form"].errors["region"]
    assert (
        said
        == "There are 2 regions in japan: ap-northeast-1 (Tokyo), ap-northeast-3 (Osaka). Enter one of these codes."
    )
    assert said in answer.content.decode()
    assert 'value="japan"' in answer.content.decode()
    assert not Store.objects.exists()


@pytest.mark.parametrize("text", ["china", "Beijing", "cn-north-1"])
def test_a_place_that_the_account_does_not_reach_is_refused(alice, acme, text):
    form = store_form(acme, factories.account(acme), text)
    assert form.errors["region"] == [f"prod is an account of aws: {text} is not in it."]


def test_the_notice_about_a_region_knows_its_place_too(client, alice, acme):
    client.force_login(alice)
    account = factories.account(acme)
    answer = client.get(f"/stores/preflight/?cloud_account={account.pk}&region=Ireland")
    assert answer.context["region"] == "eu-west-1"


# What a form's field for a region is given, and what it makes of that: of every form that has one. A form that is not
# named here fails the walk below.
def typed_into_existing(organisation, account, text):
    data = {"cloud_account": str(account.pk), "bucket": "their-backups", "name": "theirs", "region": text}
    return ExistingForm(data, membership=organisation.memberships.get())


def typed_into_cluster(organisation, account, text):
    data = QueryDict(mutable=True)
    data.update({"name": "ledger", "cloud_account": str(account.pk), "regions": text})
    return ClusterForm(data, membership=organisation.memberships.get())


def typed_into_nodes(organisation, account, text):
    return nodes_form(account, text)


def typed_into_bring_in(organisation, account, text):
    store = Store.objects.filter(cloud_account=account).first() or factories.store(account)
    data = {"store": str(store.pk), "name": "old", "region": text, "stanzas": "main", "path": "/backups"}
    return BringInForm(data, {}, membership=organisation.memberships.get())


TYPED = {
    StoreForm: store_form,
    ExistingForm: typed_into_existing,
    ClusterForm: typed_into_cluster,
    AddNodesForm: typed_into_nodes,
    BringInForm: typed_into_bring_in,
}


def all_forms(form=BaseForm):
    for one in form.__subclasses__():
        yield one
        yield from all_forms(one)


def test_the_walk_has_every_form_with_a_field_for_a_region():
    list(walk.routes())  # which imports all of them
    ours = {one for one in all_forms() if one.__module__.split(".")[0] in {"clusters", "console", "stores"}}
    with_region = {
        one
        for one in ours
        for name, field in getattr(one, "base_fields", {}).items()
        if name in {"region", "regions"} and not getattr(field, "choices", None)  # that of a service has its two
    }
    assert with_region == {*TYPED}


@pytest.mark.parametrize("form", TYPED, ids=lambda form: form.__name__)
@pytest.mark.parametrize(
    ("text", "code"), [("Ireland", "eu-west-1"), ("london", "eu-west-2"), (" TOKYO ", "ap-northeast-1")]
)
def test_each_form_takes_a_country_or_a_city(acme, alice, account, form, text, code):
    filled = TYPED[form](acme, account, text)
    filled.is_valid()
    [field] = {"region", "regions"} & {*filled.fields}
    assert field not in filled.errors
    assert filled.cleaned_data[field] in (code, [code])


@pytest.mark.parametrize("form", TYPED, ids=lambda form: form.__name__)
def test_each_form_names_the_codes_of_a_country_with_several(acme, alice, account, form):
    filled = TYPED[form](acme, account, "Japan")
    filled.is_valid()
    [field] = {"region", "regions"} & {*filled.fields}
    assert "ap-northeast-1 (Tokyo), ap-northeast-3 (Osaka)" in filled.errors[field][0]


@pytest.mark.parametrize(
    ("text", "code"), [("Ireland", "dublin"), ("london", "london"), ("São Paulo, Brazil", "sao-paulo")]
)
def test_a_server_stands_at_a_country_or_a_city(text, code):
    assert linking.clean({"region": "garage", "location": text})["location"] == code


def test_a_server_in_a_country_with_several_places_is_asked_which():
    with pytest.raises(LinkError, match=r"There are 2 places in Japan: Osaka, Tokyo\. Enter one of them\.") as refused:
        linking.clean({"region": "garage", "location": "Japan"})
    assert refused.value.field == "location"


def test_what_is_near_to_a_node_is_offered_first(as_alice, acme, account):
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="ledger")
    Node.objects.create(cluster=cluster, name="n1", region="ap-northeast-1")
    near = ["ap-northeast-1", "ap-northeast-3", "ap-northeast-2"]
    given = {"provider": "aws", "cloud_account": str(account.pk), "continue": "1"}
    assert [one.code for one in as_alice.post("/stores/create/", given).context["regions"]][:3] == near
    offered = as_alice.post("/clusters/create/", given).context["regions"]
    assert [one["region"].code for one in offered][:3] == near
    others = factories.account(factories.organisation("Others"), name="other")
    assert near_nodes(regions("aws"), others.organisation, "aws") == [*regions("aws")]  # theirs are nobody else's


def test_nearest_first_is_by_the_distance_to_the_nearest(acme):
    offered = regions("aws")
    for near in (offered[:1], offered[3:5], offered[-3:]):
        found = nearest_first(offered, near)
        assert {*found} == {*offered}
        away = [min(distance_km(one, other) for other in near) for one in found]
        assert away == sorted(away)


def test_places_can_be_typed_without_scripts(as_alice, account):
    given = {"name": "ledger", "cloud_account": str(account.pk), "regions": ["Ireland, Tokyo", "eu-west-1", ""]}
    shown = as_alice.post("/clusters/create/", {**given, "continue": "1"})
    assert {one["region"].code for one in shown.context["regions"] if one["chosen"]} == {"eu-west-1", "ap-northeast-1"}
    assert as_alice.post("/clusters/create/", given).status_code == 302
    assert [*Node.objects.order_by("region").values_list("region", flat=True)] == ["ap-northeast-1", "eu-west-1"]
