"""Which three letters are money: EUR-USD is asked of other places than BTC-USD."""

CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP CNH CNY
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD
    IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
    MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS
    SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XAG XAU XCD XDR XOF XPD
    XPF XPT YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905
)
"""The currencies of ISO 4217 in use, the metals among them, and the offshore yuan."""


def money_pair(symbol: str) -> tuple[str, str] | None:
    """The two currencies of a forex pair, None for anything else.

    >>> money_pair("EUR-USD"), money_pair("BTC-USD"), money_pair("AAPL")
    (('EUR', 'USD'), None, None)
    """
    base, _, quote = symbol.partition("-")
    return (base, quote) if base in CURRENCIES and quote in CURRENCIES else None
