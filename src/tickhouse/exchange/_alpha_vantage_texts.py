"""The bodies with which Alpha Vantage refuses, all of them with status 200."""

_PLANS = "https://www.alphavantage.co/premium/"
PREMIUM = {
    "Information": (
        "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
        f"{_PLANS} to instantly unlock all premium endpoints"
    )
}
PREMIUM_WITH_ROWS = {
    "message": f"This is a premium endpoint. Please subscribe at {_PLANS}.",
    "data": [{"date": "2020-01-01", "value": "1.0"}],
}
DAILY = {
    "Information": (
        "Thank you for using Alpha Vantage! Our standard API rate limit is {most} requests per day. Please subscribe to any of the "
        f"premium plans at {_PLANS} to instantly remove all daily rate limits."
    )
}
SPREAD = {
    "Information": (
        "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per "
        f"second). You may subscribe to any of the premium plans at {_PLANS} to lift the free key rate limit (25 requests per "
        "day), raise the per-second burst limit, and instantly unlock all premium endpoints"
    )
}
NOTE = {
    "Note": (
        "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day. Please "
        f"visit {_PLANS} if you would like to target a higher API call frequency."
    )
}
BAD_KEY = {
    "Error Message": (
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
    )
}


def bad_call(function: str) -> dict[str, str]:
    """The refusal of a symbol or a parameter."""
    pages = "(https://www.alphavantage.co/documentation/)"
    return {"Error Message": f"Invalid API call. Please retry or visit the documentation {pages} for {function}."}
