"""The types of columns, for the tables and for the migrations: all that databases differ in is here.

Text is compared byte by byte everywhere, as SQLite does: pages follow one another in the order of keys, which therefore must not
depend on the language that a PostgreSQL server was set up with.
"""

from sqlalchemy import BigInteger, Boolean, Date, Double, Integer, LargeBinary, Text
from sqlalchemy.types import TypeEngine

TEXT: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
BIG, WHOLE, FLAG, DAY, BYTES = BigInteger(), Integer(), Boolean(), Date(), LargeBinary()
REAL: Double[float] = Double()
