"""Operations of EWS that this practice server does not have.

Source: "EWS operations in Exchange". What is missing answers a SOAP fault that names it; what each group is called here
stands in docs/practice-servers.md.
"""

from __future__ import annotations

_GROUPS = {
    "ArchiveItem": "ArchiveItem",
    "archives and public folders": "CreateManagedFolder",
    "conversations": "FindConversation GetConversationItems ApplyConversationAction",
    "eDiscovery": "GetSearchableMailboxes SearchMailboxes GetDiscoverySearchConfiguration GetHoldOnMailboxes "
    "SetHoldOnMailboxes GetNonIndexableItemDetails GetNonIndexableItemStatistics",
    "FindPeople and GetPersona": "FindPeople GetPersona",
    "inbox rules": "GetInboxRules UpdateInboxRules",
    "mail apps": "GetAppManifests GetAppMarketplaceUrl GetClientAccessToken InstallApp UninstallApp DisableApp",
    "mail tips": "GetMailTips GetServiceConfiguration",
    "message tracking": "FindMessageTrackingReport GetMessageTrackingReport",
    "password expiry": "GetPasswordExpirationDate",
    "photos": "GetUserPhoto SetUserPhoto",
    "reminders": "GetReminders PerformReminderAction",
    "retention tags": "GetUserRetentionPolicyTags",
    "sharing": "GetSharingMetadata GetSharingFolder RefreshSharingFolder",
    "team mailboxes": "SetTeamMailbox UnpinTeamMailbox",
    "the instant messaging list": "AddDistributionGroupToImList AddImContactToGroup AddImGroup AddNewImContactToGroup "
    "AddNewTelUriContactToGroup GetImItemList GetImItems RemoveContactFromImList "
    "RemoveDistributionGroupFromImList RemoveImContactFromGroup RemoveImGroup SetImGroup SetImListMigrationCompleted",
    "unified messaging": "PlayOnPhone GetPhoneCallInformation DisconnectPhoneCall "
    "StartFindInGALSpeechRecognition CompleteFindInGALSpeechRecognition",
}
OPERATIONS = {name: group for group, names in _GROUPS.items() for name in names.split()}
"""Operation to the group it belongs to."""
