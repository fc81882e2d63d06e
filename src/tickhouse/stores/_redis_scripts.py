"""What is done inside Redis, many values in one call: writing with a guard, and reading.

Keys: `<prefix>:price:<symbol>:<source>` and `<prefix>:bar:<symbol>:<interval>:<source>` are hashes, `<prefix>:prices` and
`<prefix>:bars` sorted sets of how their keys end, in alphabetical order.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError

from tickhouse.stores._redis_own import FIELDS, RANK, Lot, Row, row_of
from tickhouse.stores.memory import Kind

MOST = 500
"""Values in one call: the server does nothing else meanwhile, for a few milliseconds."""

WRITE = """
local prefix, ttl = ARGV[1], tonumber(ARGV[2])
local fields, rank = cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local names, columns = cmsgpack.unpack(ARGV[5]), cmsgpack.unpack(ARGV[6])
local column, order = {}, {}
for i, field in ipairs(fields) do column[field] = columns[i] end
local function number(text) if text == 'forming' then return 0 end return tonumber(text) or 1 end
local written = 0
for row, name in ipairs(names) do
  local key = prefix .. name
  local held, newer = redis.call('HMGET', key, unpack(rank)), true
  for i, field in ipairs(rank) do
    if not held[i] then break end
    local new, old = number(column[field][row]), number(held[i])
    if new ~= old then newer = new > old break end
  end
  if newer then
    local values = {}
    for i, field in ipairs(fields) do
      values[2 * i - 1], values[2 * i] = field, columns[i][row]
    end
    redis.call('HSET', key, unpack(values))
    redis.call('ZADD', KEYS[1], 0, name)
    if ttl > 0 then redis.call('PEXPIRE', key, ttl) end
    written = written + 1
  end
end
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
return written
"""

LIST = """
local symbols, found = cmsgpack.unpack(ARGV[1]), {}
if #symbols == 0 then found = redis.call('ZRANGE', KEYS[1], 0, -1) end
for _, symbol in ipairs(symbols) do
  for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[' .. symbol .. ':', '(' .. symbol .. ';')) do
    found[#found + 1] = name
  end
end
return cmsgpack.pack(found)
"""

READ = """
local fields, found = cmsgpack.unpack(ARGV[2]), {}
for _, name in ipairs(cmsgpack.unpack(ARGV[3])) do
  local values = redis.call('HMGET', ARGV[1] .. name, unpack(fields))
  if values[1] then found[#found + 1] = values else redis.pcall('ZREM', KEYS[1], name) end
end
return cmsgpack.pack(found)
"""

pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder().decode


class Scripts:
    """The scripts on one server, for the keys below one prefix. Every method raises what the client raises."""

    def __init__(self, client: Redis, prefix: str, ttl: float) -> None:
        self.client, self.prefix, self.ttl = client, prefix, ttl

    def write(self, lot: Lot) -> int:
        """Write at most `MOST` values, and say how many were not older than what is there."""
        fields, rank = pack(FIELDS[lot.kind]), pack(RANK[lot.kind])
        ttl = round(self.ttl * 1000)
        given = (self._key(lot.kind), ttl, fields, rank, pack(lot.names), pack(lot.columns))
        return int(self._call(WRITE, lot.kind, *given))

    def read(self, kind: Kind, symbols: Sequence[str], interval: str | None = None) -> list[Row]:
        """The values of some symbols, or of all."""
        names = unpack(self._call(LIST, kind, pack(list(symbols)))) or []
        if interval is not None:
            names = [name for name in names if name.split(":")[1] == interval]
        rows: list[Row] = []
        for at in range(0, len(names), MOST):
            found = self._call(READ, kind, self._key(kind), pack(FIELDS[kind]), pack(names[at : at + MOST]))
            rows += [row_of(kind, values) for values in unpack(found) or ()]
        return rows

    def _key(self, kind: Kind) -> str:
        return f"{self.prefix}:{kind}:"

    def _call(self, script: str, kind: Kind, *given: Any) -> Any:
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        index = f"{self.prefix}:{kind}s"
        try:
            return self.client.evalsha(sha, 1, index, *given)
        except NoScriptError:
            self.client.script_load(script)
            return self.client.evalsha(sha, 1, index, *given)
