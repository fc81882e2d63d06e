"""The coins that the simulated CoinGecko knows: symbol, id, name, and how many millions of them there are."""

from typing import NamedTuple


class Coin(NamedTuple):
    """A coin; `supply` in coins."""

    symbol: str
    id: str
    name: str
    supply: float


_TABLE = """
BTC bitcoin 19.8 Bitcoin|ETH ethereum 120.4 Ethereum|BNB binancecoin 144 BNB|SOL solana 480 Solana|XRP ripple 57000 XRP
DOGE dogecoin 147000 Dogecoin|ADA cardano 35700 Cardano|AVAX avalanche-2 410 Avalanche|TRX tron 86000 TRON
LINK chainlink 638 Chainlink|DOT polkadot 1450 Polkadot|LTC litecoin 75 Litecoin|SHIB shiba-inu 589000000 Shiba Inu
BCH bitcoin-cash 19.8 Bitcoin Cash|UNI uniswap 600 Uniswap|NEAR near 1160 NEAR Protocol|ICP internet-computer 475 Internet Computer
ETC ethereum-classic 150 Ethereum Classic|XLM stellar 30000 Stellar|APT aptos 540 Aptos|FIL filecoin 600 Filecoin
HBAR hedera-hashgraph 38000 Hedera|ATOM cosmos 390 Cosmos Hub|ARB arbitrum 4100 Arbitrum|OP optimism 1350 Optimism
INJ injective-protocol 98 Injective|GRT the-graph 9500 The Graph|AAVE aave 15 Aave|MKR maker 0.9 Maker|VET vechain 81000 VeChain
ALGO algorand 8400 Algorand|SAND the-sandbox 2400 The Sandbox|MANA decentraland 1900 Decentraland|XTZ tezos 1020 Tezos
EOS eos 1500 EOS|PEPE pepe 420690000 Pepe|SUI sui 2900 Sui|SEI sei-network 4000 Sei|STX stacks 1500 Stacks|LDO lido-dao 890 Lido DAO
"""
COINS = tuple(
    Coin(symbol, id_, name, float(supply) * 1e6)
    for symbol, id_, supply, name in (
        cell.split(maxsplit=3) for line in _TABLE.strip().splitlines() for cell in line.split("|")
    )
)
