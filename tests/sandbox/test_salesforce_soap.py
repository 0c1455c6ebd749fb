"""Records over SOAP, as partner and enterprise clients send and read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from .salesforce_caller import Caller, organisation

XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
PARTNER, ENTERPRISE = "urn:partner.soap.sforce.com", "urn:enterprise.soap.sforce.com"


@pytest.fixture
def org() -> Iterator[Caller]:
    with organisation() as caller:
        yield caller


class Soap:
    """A client of one endpoint: `u` partner, `c` enterprise."""

    def __init__(self, org: Caller, space: str = "u", header: str = "") -> None:
        self.org, self.space, self.header = org, space, header
        self.uri = PARTNER if space == "u" else ENTERPRISE
        self.objects = self.uri.replace("urn:", "urn:sobject.")

    def post(self, body: str) -> Any:
        text = (
            f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{self.uri}" xmlns:s="{self.objects}" '
            f'xmlns:xsi="{XSI[1:-1]}"><e:Header><SessionHeader><sessionId>{self.org.token}</sessionId></SessionHeader>'
            f"{self.header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
        )
        target = f"/services/Soap/{self.space}/59.0/00D000000000001"
        return self.org.http.post(target, content=text, headers={"Content-Type": "text/xml", "SOAPAction": '""'})

    def call(self, body: str) -> list[Any]:
        """The result elements of a call that succeeds."""
        answer = self.post(body)
        assert answer.status_code == 200, answer.text
        return list(etree.fromstring(answer.content)[0][0])

    def text(self, node: Any, name: str) -> str | None:
        found: str | None = node.findtext(f"{{{self.uri}}}{name}")
        return found

    def field(self, node: Any, name: str) -> str | None:
        found: str | None = node.findtext(f"{{{self.objects}}}{name}")
        return found

    def fault(self, body: str) -> tuple[int, str, str]:
        """Status, code and kind of a fault."""
        answer = self.post(body)
        detail = etree.fromstring(answer.content).find(".//detail")[0]
        return answer.status_code, str(detail[0].text), str(etree.QName(detail).localname)


def test_partner_records_are_created_changed_found_and_deleted(org: Caller) -> None:
    soap = Soap(org)
    made = soap.call(
        "<create><sObjects><s:type>Contact</s:type><s:LastName>Ito &amp; Co</s:LastName><s:Phone>1</s:Phone></sObjects>"
        "<sObjects><s:type>Contact</s:type></sObjects></create>"
    )
    assert [soap.text(one, "success") for one in made] == ["true", "false"]
    key = soap.text(made[0], "id")
    error = made[1].find(f"{{{PARTNER}}}errors")
    assert [(etree.QName(n).localname, n.text) for n in error] == [
        ("fields", "LastName"),
        ("message", "Required fields are missing: [LastName]"),
        ("statusCode", "REQUIRED_FIELD_MISSING"),
    ]
    assert made[1].find(f"{{{PARTNER}}}id").get(f"{XSI}nil") == "true"
    change = f"<s:type>Contact</s:type><s:fieldsToNull>Phone</s:fieldsToNull><s:Id>{key}</s:Id><s:Title>CEO</s:Title>"
    [done] = soap.call(f"<update><sObjects>{change}</sObjects></update>")
    assert soap.text(done, "success") == "true"
    [page] = soap.call(
        "<query><queryString>SELECT Id, LastName, Phone, Title, CreatedDate FROM Contact</queryString></query>"
    )
    assert (soap.text(page, "done"), soap.text(page, "size")) == ("true", "1")
    row = page.find(f"{{{PARTNER}}}records")
    assert row.get(f"{XSI}type") == "sf:sObject"
    assert (soap.field(row, "type"), soap.field(row, "Id")) == ("Contact", key)
    assert (soap.field(row, "LastName"), soap.field(row, "Title")) == ("Ito & Co", "CEO")
    assert row.find(f"{{{soap.objects}}}Phone").get(f"{XSI}nil") == "true"
    assert soap.field(row, "CreatedDate") == "2026-11-18T12:00:00.000Z"
    [gone] = soap.call(f"<delete><ids>{key}</ids></delete>")
    assert (soap.text(gone, "id"), soap.text(gone, "success")) == (key, "true")
    [empty] = soap.call("<query><queryString>SELECT Id FROM Contact</queryString></query>")
    assert soap.text(empty, "size") == "0"
    [every] = soap.call("<queryAll><queryString>SELECT Id FROM Contact</queryString></queryAll>")
    assert soap.text(every, "size") == "1"


def test_enterprise_records_name_their_type_in_xsi(org: Caller) -> None:
    soap = Soap(org, "c")
    body = (
        '<sObjects xsi:type="s:Account" xmlns:s="urn:sobject.enterprise.soap.sforce.com"><Name>Acme</Name></sObjects>'
    )
    [made] = soap.call(f"<create>{body}</create>")
    [page] = soap.call("<query><queryString>SELECT Name, (SELECT Id FROM Contacts) FROM Account</queryString></query>")
    row = page.find(f"{{{ENTERPRISE}}}records")
    assert (row.get(f"{XSI}type"), soap.field(row, "Name")) == ("sf:Account", "Acme")
    assert row.find(f"{{{soap.objects}}}Contacts").get(f"{XSI}nil") == "true"
    found, missing = soap.call(
        f"<retrieve><fieldList>Id,Name</fieldList><sObjectType>Account</sObjectType><ids>{soap.text(made, 'id')}</ids>"
        "<ids>001000000000001</ids></retrieve>"
    )
    assert (soap.field(found, "Name"), missing.get(f"{XSI}nil")) == ("Acme", "true")


def test_upsert_says_what_was_created_and_takes_parents_by_key(org: Caller) -> None:
    soap = Soap(org)
    org.make("Account", Name="Acme", Ext__c="a1")
    parent = "<s:Account><s:type>Account</s:type><s:Ext__c>a1</s:Ext__c></s:Account>"
    record = f"<s:type>Contact</s:type><s:Sidefeed_Key__c>k1</s:Sidefeed_Key__c><s:LastName>Ito</s:LastName>{parent}"
    call = f"<upsert><externalIDFieldName>Sidefeed_Key__c</externalIDFieldName><sObjects>{record}</sObjects></upsert>"
    assert [soap.text(soap.call(call)[0], "created") for _ in range(2)] == ["true", "false"]
    [page] = soap.call("<query><queryString>SELECT Account.Name FROM Contact</queryString></query>")
    account = page.find(f".//{{{soap.objects}}}Account")
    assert (soap.field(account, "type"), soap.field(account, "Name")) == ("Account", "Acme")


def test_headers_order_all_or_none_and_page_size(org: Caller) -> None:
    both = "<create><sObjects><s:type>Lead</s:type></sObjects><sObjects><s:type>Account</s:type><s:Name>A</s:Name></sObjects></create>"
    strict = Soap(org, header="<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>")
    codes = [one.findtext(f".//{{{PARTNER}}}statusCode") for one in strict.call(both)]
    assert codes == ["REQUIRED_FIELD_MISSING", "ALL_OR_NONE_OPERATION_ROLLED_BACK"]
    assert [strict.text(one, "success") for one in Soap(org).call(both)] == ["false", "true"]
    for number in range(300):
        org.server.call(org.server.insert, "Contact", LastName=f"C{number}")
    small = Soap(org, header="<QueryOptions><batchSize>200</batchSize></QueryOptions>")
    [first] = small.call("<query><queryString>SELECT Id FROM Contact</queryString></query>")
    assert (small.text(first, "done"), small.text(first, "size")) == ("false", "300")
    [last] = small.call(f"<queryMore><queryLocator>{small.text(first, 'queryLocator')}</queryLocator></queryMore>")
    assert (small.text(last, "done"), len(last.findall(f"{{{PARTNER}}}records"))) == ("true", 100)


def test_describes_search_and_replication(org: Caller) -> None:
    soap = Soap(org)
    key = org.make("Account", Name="Acme")
    [everything] = soap.call("<describeGlobal/>")
    assert "Account" in [one.findtext(f"{{{PARTNER}}}name") for one in everything.findall(f"{{{PARTNER}}}sobjects")]
    account, contact = soap.call(
        "<describeSObjects><sObjectType>Account</sObjectType><sObjectType>Contact</sObjectType></describeSObjects>"
    )
    assert (soap.text(account, "keyPrefix"), soap.text(contact, "keyPrefix")) == ("001", "003")
    order = [etree.QName(one).localname for one in account]
    assert order == sorted(order)
    [found] = soap.call("<search><searchString>FIND {acme} RETURNING Account(Id)</searchString></search>")
    assert soap.field(found[0][0], "Id") == key
    window = "<startDate>2026-11-18T11:00:00Z</startDate><endDate>2026-11-18T12:30:00Z</endDate>"
    [updated] = soap.call(f"<getUpdated><sObjectType>Account</sObjectType>{window}</getUpdated>")
    assert soap.text(updated, "ids") == key
    org.request("DELETE", f"sobjects/Account/{key}")
    [deleted] = soap.call(f"<getDeleted><sObjectType>Account</sObjectType>{window}</getDeleted>")
    assert soap.text(deleted[0], "id") == key


@pytest.mark.parametrize(
    ("body", "code", "kind"),
    [
        ("<query><queryString>SELECT</queryString></query>", "MALFORMED_QUERY", "MalformedQueryFault"),
        ("<query><queryString>SELECT Nope FROM Account</queryString></query>", "INVALID_FIELD", "InvalidFieldFault"),
        ("<describeSObject><sObjectType>Nope</sObjectType></describeSObject>", "INVALID_TYPE", "InvalidSObjectFault"),
        ("<queryMore><queryLocator>01g000000000001-2000</queryLocator></queryMore>", "INVALID_QUERY_LOCATOR",
         "InvalidQueryLocatorFault"),
        ("<create><sObjects><s:Name>A</s:Name></sObjects></create>", "INVALID_TYPE", "InvalidSObjectFault"),
        ("<query/>", "MISSING_ARGUMENT", "UnexpectedErrorFault"),
        ("<convertLead/>", "INVALID_OPERATION", "UnexpectedErrorFault"),
    ],
)  # fmt: skip
def test_faults_name_code_and_kind(org: Caller, body: str, code: str, kind: str) -> None:
    assert Soap(org).fault(body) == (500, code, kind)


def test_soap_calls_count_against_the_allowance(org: Caller) -> None:
    org.server.call(org.server.condition, "quota", remaining=0)
    assert Soap(org).fault("<describeGlobal/>")[1] == "REQUEST_LIMIT_EXCEEDED"


@pytest.mark.parametrize("name", ["request", "mergeRequests"])
def test_merge_takes_its_request_under_any_name(org: Caller, name: str) -> None:
    master, loser = org.make("Account", Name="A"), org.make("Account", Name="B")
    record = f"<masterRecord><s:type>Account</s:type><s:Id>{master}</s:Id></masterRecord>"
    soap = Soap(org)
    [merged] = soap.call(f"<merge><{name}>{record}<recordToMergeIds>{loser}</recordToMergeIds></{name}></merge>")
    assert (soap.text(merged, "success"), soap.text(merged, "mergedRecordIds")) == ("true", loser)


@pytest.mark.parametrize("space", ["m", "s", "T"])
def test_the_other_soap_apis_are_named_as_missing(org: Caller, space: str) -> None:
    soap = Soap(org)
    soap.space = space
    answer = soap.post("<listMetadata/>")
    assert (answer.status_code, "does not implement" in answer.text) == (500, True)
