"""Exchange Server on premises, over Exchange Web Services (EWS).

``connector`` is the port; ``calendar`` and ``contacts`` are its feeds; ``ews`` sends operations through exchangelib;
``values`` and ``times`` turn EWS elements into raw values and back, without exchangelib and without a network.
"""

from .connector import ExchangeConnector

__all__ = ["ExchangeConnector"]
