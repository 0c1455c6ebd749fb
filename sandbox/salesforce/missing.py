"""What Salesforce has and this practice server does not: resources, standard objects, child relationships.

Source: REST API guide, Object Reference. Whoever asks for one is answered 501, not as if the name were wrong; what each
is called here stands in docs/practice-servers.md.
"""

from __future__ import annotations

from .errors import NotImplementedHere

RESOURCES = {
    "actions": "actions",
    "analytics": "the Analytics API",
    "appMenu": "the app menu",
    "async-queries": "asynchronous queries",
    "chatter": "the Connect API",
    "commerce": "commerce",
    "compactLayouts": "layouts",
    "connect": "the Connect API",
    "consent": "consent",
    "dedupe": "duplicate jobs",
    "domino": "the Analytics API",
    "einstein": "Einstein",
    "event": "Platform Events",
    "eventSchema": "Platform Events",
    "folders": "folders",
    "graphql": "GraphQL",
    "jsonxform": "the Analytics API",
    "knowledgeManagement": "knowledge",
    "licensing": "licensing",
    "localizedvalue": "localized values",
    "metadata": "the Metadata API",
    "nouns": "Einstein",
    "payments": "commerce",
    "process": "approval processes",
    "prechatForms": "embedded chat",
    "quickActions": "quick actions",
    "recentlyViewed": "the short list of recent objects",
    "scheduling": "scheduling",
    "search/layout": "search layouts",
    "search/scopeOrder": "search layouts",
    "search/suggestSearchQueries": "search suggestions",
    "search/suggestTitleMatches": "search suggestions",
    "search/suggestions": "search suggestions",
    "serviceTemplates": "service templates",
    "smartdatadiscovery": "Einstein",
    "support": "knowledge",
    "tabs": "tabs and themes",
    "theme": "tabs and themes",
    "tooling": "the Tooling API",
    "ui-api": "the User Interface API",
    "wave": "the Analytics API",
    "sobjects/relevantItems": "the short list of recent objects",
    "sobjects/{type}/defaultValues": "default values",
    "sobjects/{type}/describe/approvalLayouts": "layouts",
    "sobjects/{type}/describe/compactLayouts": "layouts",
    "sobjects/{type}/describe/layouts": "layouts",
    "sobjects/{type}/describe/namedLayouts": "layouts",
    "sobjects/{type}/eventSchema": "Platform Events",
    "sobjects/{type}/listviews": "list views",
    "sobjects/{type}/quickActions": "quick actions",
    "sobjects/{type}/{id}/richTextImageFields": "files and attachments",
}
"""Resources below the version, with all below them: how the documentation calls each."""
DOORS = {
    "/cometd": "Apex and Streaming APIs",
    "/id/keys": "ID tokens",
    "/secur": "the login page",
    "/services/Soap/class": "Apex and Streaming APIs",
    "/services/auth": "the login page",
    "/services/oauth2/device": "device flow",
    "/services/oauth2/logout": "single sign-on and single logout",
    "/services/oauth2/register": "registration of clients",
    "/services/oauth2/singleaccess": "single sign-on and single logout",
    "/services/wsdl": "WSDL files",
}
"""Paths outside the versioned tree, with all below them."""
GRANTS = {
    "device": "device flow",
    "urn:ietf:params:oauth:grant-type:device_code": "device flow",
    "urn:ietf:params:oauth:grant-type:saml2-bearer": "SAML and token-exchange grants",
    "urn:ietf:params:oauth:grant-type:token-exchange": "SAML and token-exchange grants",
    "hybrid_refresh": "hybrid app tokens",
}
"""Grants of the token endpoint."""
_OBJECTS = frozenset(
    (
        "AcceptedEventRelation AccountContactRelation AccountContactRole AccountFeed AccountHistory AccountPartner "
        "AccountShare AccountTeamMember ActivityHistory ApexClass ApexLog ApexPage ApexTestResult ApexTrigger "
        "AppMenuItem Asset AsyncApexJob Attachment AuthSession BusinessHours BusinessProcess CampaignMemberStatus "
        "CaseComment CaseContactRole CaseFeed CaseHistory CaseShare CaseStatus CaseTeamMember CollaborationGroup "
        "CombinedAttachment ContactFeed ContactHistory ContactShare ContentDocument ContentDocumentLink ContentNote "
        "ContentVersion ContentWorkspace Contract ContractContactRole ContractHistory ContractStatus CronTrigger "
        "CurrencyType CustomField CustomObject Dashboard DatedConversionRate DeclinedEventRelation Document Domain "
        "DuplicateRecordItem DuplicateRecordSet DuplicateRule EmailMessage EmailTemplate Entitlement EntityDefinition "
        "EntityParticle EventWhoRelation ExternalDataSource FeedComment FeedItem FieldDefinition FieldPermissions "
        "FiscalYearSettings Folder ForecastingAdjustment ForecastingFact ForecastingOwnerAdjustment ForecastingQuota "
        "ForecastingSubmissionItem ForecastingType GroupMember Holiday Idea Individual KnowledgeArticle LeadFeed "
        "LeadHistory LeadShare LeadStatus ListView LoginHistory LookedUpFromActivity MatchingRule NoteAndAttachment "
        "ObjectPermissions ObjectTerritory2Association OpenActivity OpportunityCompetitor OpportunityFeed "
        "OpportunityFieldHistory OpportunityLineItemSchedule OpportunityPartner OpportunityShare OpportunitySplit "
        "OpportunityTeamMember Order OrderHistory OrderItem Partner PartnerRole Period PermissionSet "
        "PermissionSetAssignment PermissionSetGroup PicklistValueInfo Pricebook2History ProcessInstance "
        "ProcessInstanceStep ProcessInstanceWorkitem Product2History QueueSobject Quote QuoteLineItem RecentlyViewed "
        "Report ServiceContract SetupAuditTrail Site Solution SolutionStatus StaticResource TaskPriority TaskRelation "
        "TaskStatus TaskWhoRelation Territory2 Topic TopicAssignment UndecidedEventRelation UserAccountTeamMember "
        "UserLicense UserLogin UserPreference UserRecordAccess UserTeamMember Vote WebLink WorkOrder "
    )
    .lower()
    .split()
)
_RELATIONSHIPS = frozenset(
    "attachments notesandattachments openactivities activityhistories histories shares feeds casecomments "
    "combinedattachments contentdocumentlinks attachedcontentdocuments processinstances processsteps topicassignments "
    "duplicaterecorditems emails recordassociatedgroups accountteammembers opportunityteammembers opportunitysplits "
    "accountcontactrelations accountcontactroles assets contracts orders quotes partners accountpartnersfrom "
    "accountpartnersto opportunitycompetitors opportunitypartnersfrom entitlements personas".split()
)


def refuse_door(path: str) -> None:
    """Raises NotImplementedHere (501) for a path outside the versioned tree that only Salesforce serves."""
    for door, what in DOORS.items():
        if path == door or path.startswith(f"{door}/"):
            raise NotImplementedHere(what)


def refuse_object(name: str) -> None:
    """Raises NotImplementedHere (501) for an object that only Salesforce has."""
    if name.lower() in _OBJECTS:
        raise NotImplementedHere(f"the object {name}")


def refuse_relationship(name: str) -> None:
    """Raises NotImplementedHere (501) for a child relationship to such an object."""
    if name.lower() in _RELATIONSHIPS:
        raise NotImplementedHere(f"the child relationship {name}")
