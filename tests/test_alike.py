"""What a run or `status` tells of many records at once: each reason once, and no record's own reason lost."""

from __future__ import annotations

from sidefeed.cli.alike import NAMED, feeds_once, told_once


def test_refusals_that_differ_in_their_record_alone_are_one_sentence_with_the_first_records() -> None:
    told = [("hubspot contacts", f"Ito {number}", " role", f"HubSpot refuses contacts 10{number}: Wizard is no option")
            for number in range(NAMED + 3)]
    (sentence,) = told_once(told)
    assert sentence == ("hubspot contacts role, 8 records: HubSpot refuses contacts 100: Wizard is no option "
                        "(Ito 0, Ito 1, Ito 2, Ito 3, Ito 4 and 3 more; --json names all)")


def test_another_value_field_or_object_is_another_reason() -> None:
    one = ("hubspot contacts", "Ito", " role", "Wizard is no option")
    others = [("hubspot contacts", "Ann", " role", "Witch is no option"), ("hubspot contacts", "Ann", " rank", one[3]),
              ("hubspot deals", "Ann", " role", one[3])]
    assert told_once([one, *others]) == [
        "hubspot contacts Ito role: Wizard is no option", "hubspot contacts Ann role: Witch is no option",
        "hubspot contacts Ann rank: Wizard is no option", "hubspot deals Ann role: Wizard is no option"]


def test_what_concerns_feeds_as_a_whole_is_told_once_with_all_of_them() -> None:
    used = [(f"hubspot {object}", f"not read: 98{number} of the 450 calls are used")
            for number, object in enumerate(("companies", "deals"))]
    assert feeds_once([*used, ("salesforce Task", "no right")]) == [
        "hubspot companies, hubspot deals: not read: 980 of the 450 calls are used", "salesforce Task: no right"]
