"""Standard objects and child relationships of Salesforce that this practice server does not have.

Source: Object Reference. A query or call that names one is answered 501, not as if the name were wrong.
"""

from __future__ import annotations

from .errors import NotImplementedHere

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


def refuse_object(name: str) -> None:
    """Raises NotImplementedHere (501) for an object that only Salesforce has."""
    if name.lower() in _OBJECTS:
        raise NotImplementedHere(f"the object {name}")


def refuse_relationship(name: str) -> None:
    """Raises NotImplementedHere (501) for a child relationship to such an object."""
    if name.lower() in _RELATIONSHIPS:
        raise NotImplementedHere(f"the child relationship {name}")
