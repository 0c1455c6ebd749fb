"""Countries and states by code and name.

ISO 3166-1, with the English names of the Unicode CLDR, and the postal codes of the states of three federations.
"""

from __future__ import annotations

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

_STATES = {
    "US": (
        "AL Alabama; AK Alaska; AZ Arizona; AR Arkansas; CA California; CO Colorado; CT Connecticut; DE Delaware; "
        "DC District of Columbia; FL Florida; GA Georgia; HI Hawaii; ID Idaho; IL Illinois; IN Indiana; IA Iowa; KS "
        "Kansas; KY Kentucky; LA Louisiana; ME Maine; MD Maryland; MA Massachusetts; MI Michigan; MN Minnesota; MS "
        "Mississippi; MO Missouri; MT Montana; NE Nebraska; NV Nevada; NH New Hampshire; NJ New Jersey; NM New "
        "Mexico; NY New York; NC North Carolina; ND North Dakota; OH Ohio; OK Oklahoma; OR Oregon; PA Pennsylvania; "
        "PR Puerto Rico; RI Rhode Island; SC South Carolina; SD South Dakota; TN Tennessee; TX Texas; UT Utah; VT "
        "Vermont; VA Virginia; WA Washington; WV West Virginia; WI Wisconsin; WY Wyoming"
    ),
    "CA": (
        "AB Alberta; BC British Columbia; MB Manitoba; NB New Brunswick; NL Newfoundland and Labrador; NS Nova "
        "Scotia; NT Northwest Territories; NU Nunavut; ON Ontario; PE Prince Edward Island; QC Quebec; SK "
        "Saskatchewan; YT Yukon"
    ),
    "AU": (
        "ACT Australian Capital Territory; NSW New South Wales; NT Northern Territory; QLD Queensland; SA South "
        "Australia; TAS Tasmania; VIC Victoria; WA Western Australia"
    ),
}

FEDERATIONS = tuple(_STATES)


def _table(text: str) -> dict[str, str]:
    return {code: name for each in text.split("; ") for code, _, name in [each.partition(" ")]}


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 code -> English name."""
    return _table(_COUNTRIES)


@cache
def states(country: str) -> dict[str, str]:
    """Postal code -> name, of the states of one federation."""
    return _table(_STATES[country])


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
    """The code of a state of that federation, by name or code; None where it is none."""
    table, code = states(country), text.strip().upper()
    if code in table:
        return code
    wanted = _folded(text)
    return next((code for code, name in table.items() if _folded(name) == wanted), None)
