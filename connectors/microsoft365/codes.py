"""Graph's codes, as far as they say more than the class of error they come with, and the connector's own."""

from sidefeed.errors import ErrorCode

CODES = (
    ErrorCode("outside-scope", "The mailbox is not among those that the application may reach.", "admin",
              "Add it to the management scope of the application's role assignments; that takes up to an hour.",
              "nightly"),
    ErrorCode("would-mail", "The server would mail the attendees of this meeting.", "rep",
              "Change it in Outlook, where its organiser decides who is told.", "content"),
    ErrorCode("link", "A link that Graph gave leads to another host.", "ops",
              "Report it; no token was sent there.", "nightly"),
    ErrorCode("login", "The application could not sign in.", "admin",
              "Check `tenant_id` and `client_id`, and make a new secret or certificate.", "next-run"),
    ErrorCode("invalid_client", "The application's secret or certificate is wrong or has expired.", "admin",
              "Make a new one under App registrations and put it into the settings.", "next-run"),
    ErrorCode("unauthorized_client", "The organisation has no such application.", "admin",
              "Correct `client_id`, or consent to the application.", "next-run"),
    ErrorCode("InvalidAuthenticationToken", "Graph does not accept the token, renewed as it was.", "admin",
              "Check that the application is not blocked, and the clock of this machine.", "next-run"),
    ErrorCode("ErrorInvalidUser", "There is no such mailbox in the organisation.", "admin",
              "Correct `mailboxes`, or give the person a licence with a mailbox.", "nightly"),
    ErrorCode("Authorization_RequestDenied", "The directory may not be asked.", "admin",
              "Consent to User.Read.All, or give names under `mailboxes`.", "nightly"),
    ErrorCode("ApplicationThrottled", "The mailbox was asked too much at a time, or in ten minutes.", "ops",
              "Nothing: the next run goes on.", "next-run"),
    ErrorCode("SyncStateNotFound", "Graph forgot how far the folder was read.", "ops", "Nothing: it is read again.",
              "next-run"),
    ErrorCode("resyncRequired", "Graph wants the folder read again from the start.", "ops",
              "Nothing: it is read again.", "next-run"),
    ErrorCode("ErrorDuplicateTransactionId", "Graph has seen this create before.", "ops",
              "Nothing: the item is looked for by its key.", "looked-up"),
)
