"""Labels in the middle of a sentence."""

import pytest

from console.clouds.naming import lower_first


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("Access logging", "access logging"),
        ("Expiry of older versions", "expiry of older versions"),
        ("Object Lock", "Object Lock"),
        ("IAM users", "IAM users"),
        ("TLS-only policy", "TLS-only policy"),
        ("Tags", "tags"),
        ("Switch that turns ACLs off", "switch that turns ACLs off"),
        ("", ""),
    ],
)
def test_lower_first_keeps_what_is_a_name(label, written):
    assert lower_first(label) == written
