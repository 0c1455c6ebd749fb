"""Exchange Server on premises, over Exchange Web Services (EWS).

``connector`` is the port; ``calendar`` and ``contacts`` are its feeds, ``meetings`` reads meetings by id, ``writer``
writes; ``operations`` are the EWS operations in use, and ``ews`` sends them through exchangelib;
``values`` and ``times`` turn EWS elements into raw values and back, without exchangelib and without a network.
"""

from .connector import ExchangeConnector

__all__ = ["ExchangeConnector"]
