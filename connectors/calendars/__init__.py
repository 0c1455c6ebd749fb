"""What calendar connectors share: which days they read, how an occurrence is known, and iCalendar."""
