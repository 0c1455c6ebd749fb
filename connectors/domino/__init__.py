"""HCL Domino ("Lotus Notes"), over Domino Access Services' calendar service. Experimental.

``connector`` is the port, ``door`` sends, ``rows`` reads the list of the calendar view, ``calendar`` makes meetings of
it and ``writer`` writes; the iCalendar in the payload is read by the rooms of the CalDAV connector. It was built from
the OpenAPI file of Domino 9.0.1 FP8 and from the header of the C API that the service stands on, and tested against a
practice server only. Not known: whether Domino 14 still ships the service, whether ``X-SIDEFEED-LINK`` survives an edit
in Notes, how a mail file on a template before 8.5.4 behaves (its UIDs are others).
"""

from .connector import DominoConnector

__all__ = ["DominoConnector"]
