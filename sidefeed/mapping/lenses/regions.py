"""Countries and states by code and name.

ISO 3166-1, with the English names of the Unicode CLDR; and the states, provinces and other parts of every country as
ISO 3166-2 has them, from `pycountry`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

_COUNTRIES = (
    "AD Andorra; AE United Arab Emirates; AF Afghanistan; AG Antigua and Barbuda; AI Anguilla; AL Albania; AM "
    "Armenia; AO Angola; AQ Antarctica; AR Argentina; AS American Samoa; AT Austria; AU Australia; AW Aruba; AX "
    "Åland Islands; AZ Azerbaijan; BA Bosnia and Herzegovina; BB Barbados; BD Bangladesh; BE Belgium; BF "
    "Burkina Faso; BG Bulgaria; BH Bahrain; BI Burundi; BJ Benin; BL Saint Barthélemy; BM Bermuda; BN Brunei; "
    "BO Bolivia; BQ Bonaire, Sint Eustatius and Saba; BR Brazil; BS Bahamas; BT Bhutan; BV Bouvet Island; BW "
    "Botswana; BY Belarus; BZ Belize; CA Canada; CC Cocos Islands; CD Democratic Republic of the Congo; CF "
    "Central African Republic; CG Congo; CH Switzerland; CI Côte d'Ivoire; CK Cook Islands; CL Chile; CM "
    "Cameroon; CN China; CO Colombia; CR Costa Rica; CU Cuba; CV Cabo Verde; CW Curaçao; CX Christmas Island; "
    "CY Cyprus; CZ Czechia; DE Germany; DJ Djibouti; DK Denmark; DM Dominica; DO Dominican Republic; DZ "
    "Algeria; EC Ecuador; EE Estonia; EG Egypt; EH Western Sahara; ER Eritrea; ES Spain; ET Ethiopia; FI "
    "Finland; FJ Fiji; FK Falkland Islands; FM Micronesia; FO Faroe Islands; FR France; GA Gabon; GB United "
    "Kingdom; GD Grenada; GE Georgia; GF French Guiana; GG Guernsey; GH Ghana; GI Gibraltar; GL Greenland; GM "
    "Gambia; GN Guinea; GP Guadeloupe; GQ Equatorial Guinea; GR Greece; GS South Georgia and the South Sandwich "
    "Islands; GT Guatemala; GU Guam; GW Guinea-Bissau; GY Guyana; HK Hong Kong; HM Heard Island and McDonald "
    "Islands; HN Honduras; HR Croatia; HT Haiti; HU Hungary; ID Indonesia; IE Ireland; IL Israel; IM Isle of "
    "Man; IN India; IO British Indian Ocean Territory; IQ Iraq; IR Iran; IS Iceland; IT Italy; JE Jersey; JM "
    "Jamaica; JO Jordan; JP Japan; KE Kenya; KG Kyrgyzstan; KH Cambodia; KI Kiribati; KM Comoros; KN Saint "
    "Kitts and Nevis; KP North Korea; KR South Korea; KW Kuwait; KY Cayman Islands; KZ Kazakhstan; LA Laos; LB "
    "Lebanon; LC Saint Lucia; LI Liechtenstein; LK Sri Lanka; LR Liberia; LS Lesotho; LT Lithuania; LU "
    "Luxembourg; LV Latvia; LY Libya; MA Morocco; MC Monaco; MD Moldova; ME Montenegro; MF Saint Martin; MG "
    "Madagascar; MH Marshall Islands; MK North Macedonia; ML Mali; MM Myanmar; MN Mongolia; MO Macao; MP "
    "Northern Mariana Islands; MQ Martinique; MR Mauritania; MS Montserrat; MT Malta; MU Mauritius; MV "
    "Maldives; MW Malawi; MX Mexico; MY Malaysia; MZ Mozambique; NA Namibia; NC New Caledonia; NE Niger; NF "
    "Norfolk Island; NG Nigeria; NI Nicaragua; NL Netherlands; NO Norway; NP Nepal; NR Nauru; NU Niue; NZ New "
    "Zealand; OM Oman; PA Panama; PE Peru; PF French Polynesia; PG Papua New Guinea; PH Philippines; PK "
    "Pakistan; PL Poland; PM Saint Pierre and Miquelon; PN Pitcairn; PR Puerto Rico; PS Palestine; PT Portugal; "
    "PW Palau; PY Paraguay; QA Qatar; RE Reunion; RO Romania; RS Serbia; RU Russia; RW Rwanda; SA Saudi Arabia; "
    "SB Solomon Islands; SC Seychelles; SD Sudan; SE Sweden; SG Singapore; SH Saint Helena; SI Slovenia; SJ "
    "Svalbard and Jan Mayen; SK Slovakia; SL Sierra Leone; SM San Marino; SN Senegal; SO Somalia; SR Suriname; "
    "SS South Sudan; ST Sao Tome and Principe; SV El Salvador; SX Sint Maarten; SY Syria; SZ Eswatini; TC Turks "
    "and Caicos Islands; TD Chad; TF French Southern Territories; TG Togo; TH Thailand; TJ Tajikistan; TK "
    "Tokelau; TL Timor-Leste; TM Turkmenistan; TN Tunisia; TO Tonga; TR Türkiye; TT Trinidad and Tobago; TV "
    "Tuvalu; TW Taiwan; TZ Tanzania; UA Ukraine; UG Uganda; UM United States Minor Outlying Islands; US United "
    "States; UY Uruguay; UZ Uzbekistan; VA Vatican; VC Saint Vincent and the Grenadines; VE Venezuela; VG "
    "British Virgin Islands; VI U.S. Virgin Islands; VN Vietnam; VU Vanuatu; WF Wallis and Futuna; WS Samoa; YE "
    "Yemen; YT Mayotte; ZA South Africa; ZM Zambia; ZW Zimbabwe"
)

# Names that people and systems use beside the English one; words of one name are joined by `-`.
_OTHER_NAMES = (
    "AE uae emirates; AT österreich; BE belgië belgique belgien; BO bolivia,-plurinational-state-of; BR brasil; "
    "CD congo,-the-democratic-republic-of-the congo-(kinshasa); CG congo-(brazzaville); CH schweiz suisse "
    "svizzera; CI ivory-coast; CN 中国 people's-republic-of-china prc; CV cape-verde; CZ czech-republic česko; DE "
    "deutschland; DK danmark; ES españa; FI suomi; GB uk great-britain britain england scotland wales northern-"
    "ireland u.k.; GR hellas; HU magyarország; IE republic-of-ireland éire; IR iran,-islamic-republic-of; IT "
    "italia; JP 日本 nippon; KR korea republic-of-korea korea,-republic-of; LA lao-people's-democratic-republic; "
    "MD moldova,-republic-of; MK macedonia; MM burma; MO macau; MX méxico; NL nederland the-netherlands "
    "holland; NO norge; PL polska; RO românia; RU russian-federation; SE sverige; SY syrian-arab-republic; SZ "
    "swaziland; TL east-timor; TR turkey türkiye; TW taiwan,-province-of-china; TZ tanzania,-united-republic-"
    "of; US usa united-states-of-america u.s. u.s.a. america; VA vatican-city; VE venezuela,-bolivarian-"
    "republic-of; VN viet-nam"
)

def _table(text: str) -> dict[str, str]:
    return {code: name for each in text.split("; ") for code, _, name in [each.partition(" ")]}


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 code -> English name."""
    return _table(_COUNTRIES)


@cache
def states(country: str) -> dict[str, str]:
    """Code -> name of the states, provinces and other parts of a country (ISO 3166-2, without the country's code).

    Names are ISO's, each once: where a part has the name of a greater one, its kind is added: `La Rioja (Province)`.
    """
    import pycountry

    found: dict[str, str] = {}
    parts = sorted(pycountry.subdivisions.get(country_code=country) or (),
                   key=lambda part: (part.parent_code is not None, part.code))
    taken: set[str] = set()
    for part in parts:
        code = part.code.partition("-")[2]
        forms = (part.name, f"{part.name} ({part.type})", f"{part.name} ({code})")
        found[code] = next(form for form in forms if _plain(form) not in taken)
        taken.add(_plain(found[code]))
    return dict(sorted(found.items()))


@cache
def _known_states(country: str) -> dict[str, str]:
    """How people and systems write each part -> its code. A name beats a code, and a greater part a smaller one."""
    known: dict[str, str] = {}
    table = states(country)
    known.update({_plain(name): code for code, name in table.items()})
    for spelling in (lambda code, name: (code, f"{country}-{code}"), _other_spellings):
        for code, name in table.items():
            for each in spelling(code, name):
                known.setdefault(_plain(each), code)
    return known


def _other_spellings(code: str, name: str) -> Iterator[str]:
    """`Arunachal Pradesh`; either name of `Illes Balears [Islas Baleares]`."""
    outer, _, inner = name.rstrip("]").partition(" [")
    for each in (name, outer, inner):
        yield each
        yield _without_accents(each)


@cache
def _known_countries() -> dict[str, str]:
    known = {_folded(name): code for code, name in countries().items()}
    for code, names in _table(_OTHER_NAMES).items():
        known.update({_folded(name.replace("-", " ")): code for name in names.split()})
    return known


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("&", "and").split())


def country_code(text: str) -> str | None:
    """The code of a country named in English, in its own language or by its code; None where it is none."""
    code = text.strip().upper()
    return code if code in countries() else _known_countries().get(_folded(text))


def state_code(text: str, country: str) -> str | None:
    """The code of a state or province of that country, by name or code; None where it is none."""
    known = _known_states(country)
    return known.get(_plain(text)) or known.get(_plain(_without_accents(text)))


def _plain(name: str) -> str:
    return _folded(unicodedata.normalize("NFC", name))


def _without_accents(name: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
