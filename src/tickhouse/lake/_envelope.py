"""Raw batches as the lines of a bronze object, and back byte for byte."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from tickhouse.core.batches import I64, U8, RawBatch
from tickhouse.core.kernels import envelope

AT_A_TIME = 32_768
"""Messages made into lines in one step, so that the buffers stay small."""

OPENING, TAIL = b'{"position":', b'","received_at":'
KEYS = (b',"payload":', b',"text":', b',"base64":')

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(str).decode


def lines(raw: RawBatch) -> Iterator[U8]:
    """The lines of a batch, in pieces."""
    for start in range(0, len(raw), AT_A_TIME):
        yield _lines(raw.take(start, min(start + AT_A_TIME, len(raw))))


def _lines(raw: RawBatch) -> U8:
    n = len(raw)
    data, offsets, ends, received = (_fixed(a) for a in (raw.data, raw.offsets, raw.ends, raw.received_at))
    verdicts, sizes = np.empty(n, np.uint8), np.empty(n, np.int64)
    side: list[bytes] = []
    if envelope.classify(data, offsets, ends, verdicts, sizes):
        unsure = np.flatnonzero(verdicts == envelope.UNSURE)
        side = [_value(raw.payload(i)) for i in unsure.tolist()]
        sizes[unsure] = [len(value) for value in side]
    middle = _about(raw.source, raw.channel) + _encode(raw.lane)[1:-1] + TAIL
    pieces = [_array(piece) for piece in (OPENING, middle, KEYS[0], KEYS[1])]
    room = n * (len(OPENING) + len(middle) + len(KEYS[0]) + 44) + int(sizes.sum())
    out = np.empty(room, np.uint8)
    side_ends = np.cumsum(np.array([len(value) for value in side], np.int64))
    size = envelope.write(
        out, data, offsets, ends, received, raw.first, verdicts, _array(b"".join(side)), side_ends, *pieces
    )
    return out[:size]


def batches(text: bytes, source: str, channel: str) -> Iterator[RawBatch]:
    """The batches of an object's lines: one for each run of dense positions of one lane.

    Raises `ValueError` at a line that is none of ours.
    """
    data = _array(text)
    columns = np.empty((8, text.count(b"\n")), np.int64)
    keys = _array(b"".join(KEYS)), np.cumsum([len(key) for key in KEYS])
    found = envelope.read(data, _array(OPENING), _array(_about(source, channel)), _array(TAIL), *keys, columns)
    if found < 0:
        raise ValueError(f"line {-found} is no line of this object")
    position, lane_start, lane_end, received, key, start, end, same = columns
    data, start, end = _decoded(text, data, key, start, end)
    breaks = np.flatnonzero((np.diff(position) != 1) | (same[1:] == 0)) + 1
    for i, j in zip([0, *breaks.tolist()], [*breaks.tolist(), found], strict=True):
        if i < j:
            lane = _decode(b'"' + text[lane_start[i] : lane_end[i]] + b'"')
            yield RawBatch(source, channel, lane, data, start[i:j], end[i:j], received[i:j], int(position[i]))


def _decoded(text: bytes, data: U8, key: I64, start: I64, end: I64) -> tuple[U8, I64, I64]:
    """The buffer with the decoded texts behind it, and where each message lies in it."""
    odd = np.flatnonzero(key)
    if not len(odd):
        return data, start, end
    values = [_plain(text[start[i] : end[i]], bool(key[i] == 2)) for i in odd.tolist()]
    ends = len(data) + np.cumsum(np.array([len(value) for value in values], np.int64))
    start[odd], end[odd] = np.concatenate(([len(data)], ends[:-1])), ends
    return _array(text + b"".join(values)), start, end


def _plain(value: bytes, binary: bool) -> bytes:
    try:
        word = _decode(value)
        return base64.b64decode(word, validate=True) if binary else word.encode()
    except (msgspec.DecodeError, binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"a payload cannot be decoded: {error}") from error


def _value(payload: bytes) -> bytes:
    """The last key and value of a line, as a strict decoder judges the message."""
    if envelope.is_json(payload):
        return KEYS[0] + payload
    try:
        return KEYS[1] + _encode(payload.decode())
    except UnicodeDecodeError:
        return KEYS[2] + _encode(base64.b64encode(payload).decode())


def _about(source: str, channel: str) -> bytes:
    """What stands between the position and the lane."""
    return b',"source":' + _encode(source) + b',"channel":' + _encode(channel) + b',"lane":"'


def _array(text: bytes) -> U8:
    return np.frombuffer(text, np.uint8)


def _fixed(array: Any) -> Any:
    """The array, contiguous and not writable, so that a kernel is compiled for one form only."""
    view = np.ascontiguousarray(array)[:]
    view.flags.writeable = False
    return view
