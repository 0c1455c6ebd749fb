"""The error codes that come from HubSpot (HubSpot documentation, "Error handling")."""

from sidefeed.errors import ErrorCode

CODES = (
    *(ErrorCode(code, "The private app may not do this.", "admin",
                "Give the app the scopes that the message names.", "nightly")
      for code in ("MISSING_SCOPES", "FORBIDDEN", "UNAUTHORIZED")),
    ErrorCode("INVALID_OPTION", "The value is not one of the property's options.", "admin",
              "Add the option to the property, or map the value to one that is there.", "nightly"),
    ErrorCode("PROPERTY_DOESNT_EXIST", "The portal has no such property.", "admin",
              "Create the property, or correct the mapping.", "nightly"),
    ErrorCode("READ_ONLY_VALUE", "HubSpot computes this property itself.", "admin",
              "Map it one way.", "nightly"),
    ErrorCode("INVALID_OWNER_ID", "The owner is no user of the portal.", "admin",
              "Invite the person to the portal, or give the record another owner.", "nightly"),
    *(ErrorCode(code, f"The value is not {what}.", "rep", "Correct the value.", "content") for code, what in (
        ("INVALID_DATE", "a date"), ("INVALID_EMAIL", "an e-mail address"), ("INVALID_LENGTH", "as long as it must be"),
        ("INVALID_LONG", "a whole number in range"), ("INVALID_NUMBER", "a number"))),
    ErrorCode("daily-limit", "The portal's calls of today are used up, by all apps together.", "ops",
              "Nothing: they return at midnight in the portal's time zone.", "next-run"),
    ErrorCode("portal-moving", "HubSpot is moving the portal to another data centre.", "ops",
              "Nothing: it takes up to a day.", "next-run"),
    ErrorCode("wrong-portal", "The token belongs to another portal than the settings name.", "ops",
              "Give the token of the portal that is meant.", "next-run"),
    ErrorCode("association-unknown", "The mapping names an association that the portal does not have.", "ops",
              "Correct the name in the mapping, or create the association label.", "content"),
    ErrorCode("merged", "A key is taken by a record that another was merged into.", "ops",
              "Nothing: the merge is read and followed.", "looked-up"),
)
