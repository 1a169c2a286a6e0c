# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The kernel as Python sees it: one contract with PythonHotPath (python/hotpath.py), which documents every method.

Nothing here runs per line. The GIL is released around all work of the kernel; objects are made per series, while the
rows of a closed window or of a partial are read, never per sample.
"""

from collections.abc import Collection
from ipaddress import ip_address, ip_network
from os import urandom

cimport cython
from cpython.exc cimport PyErr_SetFromErrno
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from relay.hotpath.native cimport _kernel as k
from relay.hotpath.native._kernel cimport cell, closed, entry, hotpath, series, series_name, sketch, span

from relay import limits
from relay.hotpath.tap import TapCounts, TappedLine, tag_texts
from relay.model import (
    ClosedWindow, Identity, Kind, Peer, RejectedLine, Resolution, Rollup, Sender, Senders, Series, Tally, TopSender,
)


class _LazyPartial:
    """Imports partial.py at its first use: its libraries take a third of a worker's time to the first packet."""

    def __getattr__(self, name):
        return _import_partial(name)


def _import_partial(name):
    global partial
    from relay.hotpath import partial as found

    partial = found
    return getattr(found, name)


partial = _LazyPartial()

cdef tuple KINDS = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)
cdef dict KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
cdef tuple REASONS = (
    "empty_name", "no_value", "bad_value", "bad_type", "bad_rate", "bad_timestamp", "bad_event", "reserved_name",
    "truncated", "line_too_long", "source_denied", "series_limit", "internal_error", "too_old", "too_far_ahead", "late_gauge",
    "forgotten",
)
"""In the order of the kernel's enum."""

cdef tuple TAPS = ("all", "rejected", "dropped", "undecided")
"""In the order of the kernel's enum."""

LIMITS = {
    "QUANTILE_EXACT": k.QUANTILE_EXACT, "SKETCH_BINS": k.SKETCH_BINS, "SET_EXACT": k.SET_EXACT,
    "SET_PRECISION": k.SET_PRECISION, "DATAGRAM_BYTES": k.DATAGRAM_BYTES, "SECTION_READ": k.SECTION_READ, "NAME_READ": k.NAME_READ,
    "NAMING_FIXED": k.NAMING_FIXED, "NAMING_OTHERS": k.NAMING_OTHERS, "NAMING_WORK": k.NAMING_WORK,
    "RULES_COUNTED": k.RULES_COUNTED, "TOP_SENDERS": k.TOP_SENDERS, "SENDER_EXAMPLE_BYTES": k.SENDER_EXAMPLE_BYTES, "TIMESTAMP_AHEAD": k.TIMESTAMP_AHEAD,
    "SENDERS_MOST": k.SENDERS_MOST, "REJECTS_KEPT": k.REJECTS_KEPT, "REJECT_BYTES": k.REJECT_BYTES,
    "TAPS_MOST": k.TAPS_MOST, "TAPPED_LINES": k.TAPPED_LINES, "TAPPED_BYTES": k.TAPPED_BYTES, "TAP_NAME": k.TAP_NAME,
    "TAP_TEXT": k.TAP_TEXT, "TEES_MOST": k.TEES_MOST, "COPY_BYTES": k.COPY_BYTES, "EXACT_MOST": k.RECORD_EXACT_MOST,
}
"""What the kernel was compiled with; a test compares it with relay.limits."""


# --- conversions ------------------------------------------------------------------------------------------------------

cdef object new_tuple = tuple.__new__
"""A named tuple's own constructor takes twice as long."""


cdef inline span span_of(bytes text):
    return span(<const k.uint8_t *><const unsigned char *>text, len(text))


cdef inline bytes bytes_of(const k.uint8_t *at, size_t size):
    return (<const char *>at)[:size]


cdef series_name name_of(object wanted, list alive):
    """Point to the texts of a Series, which `alive` keeps. A namespace is an odd text after the dimensions."""
    cdef bytes metric = (<str>wanted[0]).encode()
    cdef list texts = [text for pair in wanted[1] for text in pair]
    if wanted[4]:
        texts.append(wanted[4])
    cdef bytes dimensions = "\0".join(texts).encode()
    alive.append((metric, dimensions))
    return series_name(span_of(metric), span_of(dimensions), <k.kind><int>KIND_NUMBERS[wanted[2]], wanted[3])


cdef series_name answer_of(tuple wanted, k.kind kind, bytes metric, bytes dimensions):
    """Point to the texts of an answer's series; the caller keeps them alive."""
    return series_name(span_of(metric), span_of(dimensions), kind, <bint>wanted[3])


cdef bytes dimensions_of(tuple wanted):
    """Return the dimensions and the namespace as the kernel stores them, see `name_of`."""
    cdef list texts = []
    for key, value in <tuple>wanted[1]:
        texts.append(key)
        texts.append(value)
    if wanted[4]:
        texts.append(wanted[4])
    return "\0".join(texts).encode()


cdef object identity_of(const k.identity *found):
    cdef bytes name = bytes_of(found.text, found.name_size)
    return new_tuple(Identity, (name, KINDS[found.kind], bytes_of(found.text + found.name_size, found.tags_size)))


cdef object series_of(const series *found):
    cdef list texts = bytes_of(found.dimensions, found.size).decode().split("\0") if found.size else []
    cdef str namespace = texts.pop() if len(texts) % 2 else ""
    cdef tuple dimensions = tuple(zip(texts[::2], texts[1::2]))
    cdef str metric = bytes_of(found.metric.name, found.metric.size).decode()
    return new_tuple(Series, (metric, dimensions, KINDS[found.kind], bool(found.derived), namespace))


cdef class Quantiles:
    """A timer's samples: those of a closed window, which stays alive, or a copy."""

    cdef const sketch *_sketch
    cdef sketch *_copy
    cdef double _low, _high
    cdef object _owner

    def __dealloc__(self):
        cdef k.budget memory
        memset(&memory, 0, sizeof(memory))
        if self._copy != NULL:
            k.sketch_free(self._copy, &memory)
            free(self._copy)

    def quantile(self, double q):
        """Return the smallest value whose cumulative weight reaches q (0..1) of the total."""
        return k.sketch_quantile(self._sketch, q, self._low, self._high) if self._sketch != NULL else 0.0

    def ascending(self):
        """Return the values in ascending order, and the weight of each, or None while every sample is kept."""
        if self._sketch == NULL:
            return [], None
        return self._bins() if self._sketch.binned else (self._samples(), None)

    cdef list _samples(self):
        cdef list values = [self._sketch.exact[i].value for i in range(self._sketch.exact_used)]
        values.sort()
        return values

    cdef tuple _bins(self):
        cdef size_t count, i
        cdef k.sample *entries = <k.sample *>calloc(k.sketch_size(self._sketch), sizeof(k.sample))
        if entries == NULL:
            raise MemoryError
        try:
            count = k.sketch_ascending(self._sketch, entries)
            values = [min(max(entries[i].value, self._low), self._high) for i in range(count)]
            return values, [entries[i].weight for i in range(count)]
        finally:
            free(entries)


cdef k.budget unbounded() noexcept:
    """Return a budget for memory outside the tables of a hot path."""
    cdef k.budget memory
    memory.used, memory.limit, memory.exact = 0, <size_t>-1, k.RECORD_EXACT_MOST
    return memory


cdef Quantiles quantiles_of(const cell *timer, object owner):
    """Return a view of a sketch that `owner` keeps alive, or a copy if `owner` is None."""
    cdef const sketch *found = <const sketch *>timer.extra
    cdef Quantiles made = Quantiles.__new__(Quantiles)
    cdef k.budget memory = unbounded()
    made._owner = owner
    made._sketch, made._low, made._high = found, timer.low, timer.high
    if owner is None and found != NULL:
        made._copy = <sketch *>calloc(1, sizeof(sketch))
        if made._copy == NULL:
            raise MemoryError
        k.sketch_merge(made._copy, found, &memory)
        made._sketch = made._copy
    return made


cdef object rollup_of(const entry *row, object owner):
    cdef const cell *found = row.cell
    cdef double size
    if row.series.kind == k.SET:
        size = k.distinct_cardinality(<const k.distinct *>found.extra) if found.extra != NULL else 0.0
        return Rollup(samples=found.samples, count=1.0, sum=size, min=size, max=size, last=size)
    return Rollup(
        samples=found.samples, count=found.count, sum=found.sum, min=found.low, max=found.high, last=found.last,
        quantiles=quantiles_of(found, owner) if row.series.kind == k.TIMER else None,
    )


# --- closed windows ---------------------------------------------------------------------------------------------------


@cython.no_gc_clear
cdef class _Closed:
    """State: a closed window, which its end gives back to the hot path. So it keeps a reference to the hot path.

    It may end at any allocation of an object, also while this thread holds the hot path's lock: its end does not lock.
    """

    cdef closed *window
    cdef NativeHotPath hotpath

    def __dealloc__(self):
        if self.window != NULL and self.hotpath is not None and self.hotpath._self != NULL:
            k.hotpath_discard(self.hotpath._self, self.window)

    cdef bint has_row(self, size_t index):
        """Say whether there is a row; an overflow cell without samples has none."""
        return index >= self.window.window.used or self.window.window.entries[index].cell.samples > 0

    cdef const series *series_at(self, size_t index):
        if index < self.window.window.used:
            return self.window.window.entries[index].series
        return self.window.idle[index - self.window.window.used].series

    cdef object row_at(self, size_t index):
        cdef entry *found
        cdef double value
        if index < self.window.window.used:
            found = &self.window.window.entries[index]
            return series_of(found.series), rollup_of(found, self)
        value = self.window.idle[index - self.window.window.used].value
        idle = Rollup(samples=0, count=1.0, sum=value, min=value, max=value, last=value)
        return series_of(self.series_at(index)), idle

    cdef size_t size(self):
        return self.window.window.used + self.window.idle_used


class Rows(Collection):
    """Rows of a closed window, or their series only; made anew in each iteration."""

    def __init__(self, _Closed window, *, bint whole):
        self._window = window
        self._whole = whole

    def __len__(self):
        return (<_Closed>self._window).size()

    def __contains__(self, item):
        return any(item == own for own in self)

    def __iter__(self):
        cdef _Closed window = self._window
        cdef size_t index
        for index in range(window.size()):
            if window.has_row(index):
                yield window.row_at(index) if self._whole else series_of(window.series_at(index))


# --- partials ---------------------------------------------------------------------------------------------------------


cdef void *room_for(size_t count, size_t size) except NULL:
    cdef void *block = calloc(count + 1, size)
    if block == NULL:
        raise MemoryError
    return block


cdef k.bin *bins_from(dict weights) except NULL:
    cdef k.bin *made = <k.bin *>room_for(len(weights), sizeof(k.bin))
    for number, (index, weight) in enumerate(weights.items()):
        made[<size_t>number].key, made[<size_t>number].weight = index + k.BIN_BIAS, weight
    return made


cdef k.sample *samples_from(list pairs) except NULL:
    cdef k.sample *made = <k.sample *>room_for(len(pairs), sizeof(k.sample))
    for number, (value, weight) in enumerate(pairs):
        made[<size_t>number].value, made[<size_t>number].weight = value, weight
    return made


cdef k.uint64_t *hashes_from(list hashes) except NULL:
    cdef k.uint64_t *made = <k.uint64_t *>room_for(len(hashes), sizeof(k.uint64_t))
    for number, hashed in enumerate(hashes):
        made[<size_t>number] = hashed
    return made


cdef int flatten(object record, k.record *into) except -1:
    """Convert a record of a partial for the kernel; `free_arrays` frees its arrays."""
    cdef list exact, hashes = record.hashes or []
    into.kind = <k.kind><int>KIND_NUMBERS[record.kind]
    into.samples, into.count, into.sum = record.samples, record.count, record.total
    into.low, into.high, into.last, into.last_at = record.low, record.high, record.last, record.last_at
    into.has_hashes, into.hashes_used = record.hashes is not None, len(hashes)
    into.hashes, into.registers = hashes_from(hashes), span_of(record.registers)
    if record.sketch is not None:
        exact = record.sketch.exact or []
        into.has_sketch, into.binned, into.zero = True, record.sketch.exact is None, record.sketch.zero
        into.exact, into.exact_used = samples_from(exact), len(exact)
        into.positive, into.positive_used = bins_from(record.sketch.positive), len(record.sketch.positive)
        into.negative, into.negative_used = bins_from(record.sketch.negative), len(record.sketch.negative)
    return 0


cdef void free_arrays(k.record *flat) noexcept:
    free(<void *>flat.hashes)
    free(<void *>flat.exact)
    free(<void *>flat.positive)
    free(<void *>flat.negative)


# --- the hot path -----------------------------------------------------------------------------------------------------


cdef k.peer peer_from(object peername, k.uint16_t listener) except *:
    """Read (host, port) of asyncio; the kernel keeps IPv4 as ::ffff:a.b.c.d."""
    cdef k.peer made = k.peer_unknown(listener)
    if peername is not None:
        address = _mapped(ip_address(peername[0].partition("%")[0]))
        memcpy(made.address, <const char *>address, 16)
        made.port, made.known = peername[1], True
    return made


cdef bytes _mapped(object address):
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


cdef k.network network_of(str cidr) except *:
    cdef k.network made
    found = ip_network(cidr, strict=False)
    address = _mapped(found.network_address)
    memcpy(made.address, <const char *>address, 16)
    made.bits = found.prefixlen + (96 if found.version == 4 else 0)
    return made


cdef int copy_text(char *into, bytes text) except -1:
    """Copy a text of a tap's filter, which `into` ends with NUL."""
    if len(text) > k.TAP_TEXT or b"\0" in text:
        raise ValueError(f"at most {k.TAP_TEXT} bytes, and no NUL")
    memcpy(into, <const char *>text, len(text))
    return 0


cdef object peer_to(const k.peer *found):
    if not found.known:
        return None
    address = ip_address(bytes_of(found.address, 16))
    return Peer(str(address.ipv4_mapped or address), found.port)


cdef class NativeHotPath:
    """State: the kernel's tables, and buffers for `drain` and `export`."""

    name = "native"

    cdef hotpath *_self
    cdef k.receiver *_receiver
    cdef k.output _output
    cdef long _seconds
    cdef list _reasons  # REASONS, then those of identities without a series, in the order of their first use

    def __init__(self, **settings):
        self._reasons = list(REASONS)
        self.configure(**settings)

    def configure(
        self, *, series_limit, series_per_metric, memory, window_seconds, max_age, idle_gauge_ttl, exact_samples,
        gauge_deltas, separators, catch_all,
    ):
        """Create the kernel's tables with these settings, or change their settings."""
        cdef k.settings settings
        cdef bytes secret = urandom(32)
        cdef list alive = []
        settings.series_limit, settings.series_per_metric = series_limit, series_per_metric
        settings.alias_limit, settings.memory = series_limit * limits.IDENTITIES_PER_SERIES, memory
        settings.window_seconds, settings.max_age, settings.idle_gauge_ttl = window_seconds, max_age, idle_gauge_ttl
        settings.exact_samples, settings.gauge_deltas = exact_samples, gauge_deltas
        memcpy(settings.secret, <const char *>secret, 32)
        for byte in range(256):
            settings.separators[<int>byte] = chr(byte) in separators
        for number, kind in enumerate(KINDS):
            settings.catch_all[<int>number] = name_of(catch_all(kind), alive)
        if self._self == NULL:
            self._self = k.hotpath_new(&settings)
            if self._self == NULL:
                raise MemoryError
        elif not k.hotpath_configure(self._self, &settings):
            raise MemoryError
        self._seconds = window_seconds

    cdef int _number_of(self, str reason) except -1:
        if reason not in self._reasons:
            if len(self._reasons) >= k.REASONS_MAX:
                raise ValueError(f"too many reasons: {reason}")
            self._reasons.append(reason)
        return self._reasons.index(reason)

    cdef dict _by_reason(self, const k.uint64_t *counts):
        return {reason: counts[<size_t>number] for number, reason in enumerate(self._reasons) if counts[<size_t>number]}

    def __dealloc__(self):
        k.receiver_free(self._receiver)
        k.output_free(&self._output)
        if self._self != NULL:
            k.hotpath_free(self._self)

    def feed(self, bytes datagram, double now, peer=None, k.uint16_t listener=0):
        cdef k.peer sender = peer_from(peer, listener)
        cdef span text = span_of(datagram)
        with nogil:
            k.hotpath_feed(self._self, text, &sender, now)

    def reject(self, bytes line, str reason, double now, peer=None, k.uint16_t listener=0):
        cdef k.peer sender = peer_from(peer, listener)
        k.hotpath_reject(self._self, span_of(line), self._number_of(reason), &sender, now)

    def drain(self, int fd, double now, k.uint16_t listener=0):
        cdef size_t count, most = limits.DRAIN_DATAGRAMS
        if self._receiver == NULL:
            self._receiver = k.receiver_new(self._self)
            if self._receiver == NULL:
                raise MemoryError
        with nogil:
            count = k.receive(self._receiver, fd, listener, most, now)
        return count

    def reader(self, int fd, int stop_fd, double delay, k.uint16_t listener=0):
        return NativeReader(self, fd, stop_fd, delay, listener)

    def tee(self, fds):
        cdef int given[k.TEES_MOST]
        if len(fds) > k.TEES_MOST:
            raise ValueError(f"at most {k.TEES_MOST} targets")
        for index, fd in enumerate(fds):
            given[<int>index] = fd
        if not k.hotpath_tee(self._self, given, len(fds)):
            PyErr_SetFromErrno(OSError)

    def tee_counts(self):
        cdef k.copies *copies = &self._self.copies
        return [(copies.sent[place], copies.dropped[place]) for place in range(k.TEES_MOST)]

    def open_window(self, k.int64_t start):
        with nogil:
            k.hotpath_open_window(self._self, start)

    def unresolved(self, size_t limit):
        cdef k.identity **found = <k.identity **>calloc(limit + 1, sizeof(void *))
        cdef size_t count
        if found == NULL:
            raise MemoryError
        try:
            with nogil:
                count = k.hotpath_unresolved(self._self, found, limit)
            return [identity_of(found[i]) for i in range(count)]
        finally:
            free(found)

    def top_senders(self):
        cdef k.top_sender *one
        cdef list found = []
        k.hotpath_lock(self._self)
        for place in range(k.TOP_SENDERS):
            one = &self._self.top_senders[<int>place]
            if one.identities:
                name, tags = bytes_of(one.text, one.name_size), bytes_of(one.text + one.name_size, one.tags_size)
                found.append(TopSender(peer_to(&one.peer), one.identities, one.work, name, tags))
            memset(one, 0, sizeof(k.top_sender))
        k.hotpath_unlock(self._self)
        found.sort(key=lambda top_sender: -top_sender.work)
        return found

    def dropped_by_rule(self):
        cdef int rule
        k.hotpath_lock(self._self)
        found = {rule: self._self.dropped_by_rule[rule] for rule in range(1, k.RULES_COUNTED) if self._self.dropped_by_rule[rule]}
        k.hotpath_unlock(self._self)
        return found

    def resolve(self, answers):
        cdef size_t count = len(answers), i
        cdef k.answer *given = <k.answer *>calloc(count + 1, sizeof(k.answer))
        cdef list alive = []
        cdef tuple identity, answer, series, overflow, before = None
        cdef bytes metric, overflow_dimensions = b""
        if given == NULL:
            raise MemoryError
        try:
            for i in range(count):
                identity, answer = <tuple>(answers[i][0]), <tuple>(answers[i][1])
                given[i].kind = <k.kind><int>KIND_NUMBERS[identity[1]]
                given[i].name, given[i].tags = span_of(<bytes>identity[0]), span_of(<bytes>identity[2])
                given[i].has_no_series = type(answer) is not Resolution
                if given[i].has_no_series:
                    given[i].reason, given[i].rejects, given[i].rule = self._number_of(answer[0]), answer[1], answer[2]
                    continue
                series, overflow = <tuple>answer[0], <tuple>answer[1]
                metric = (<str>series[0]).encode()
                if overflow[1] is not before or overflow[4]:  # only texts without a namespace are used again
                    before, overflow_dimensions = None if overflow[4] else <tuple>overflow[1], dimensions_of(overflow)
                dimensions = dimensions_of(series)
                alive.append((metric, dimensions, overflow_dimensions))
                given[i].series = answer_of(series, given[i].kind, metric, dimensions)
                given[i].overflow = answer_of(overflow, given[i].kind, metric, overflow_dimensions)
                if overflow[0] is not series[0]:
                    given[i].overflow = name_of(overflow, alive)
                    given[i].overflow.kind = given[i].kind
            with nogil:
                k.hotpath_resolve(self._self, given, count)
        finally:
            free(given)

    def close_window(self, k.int64_t next_start, *, bint folds=False, bint renames=False):
        cdef bint closed
        with nogil:
            closed = k.hotpath_close_window(self._self, next_start, folds, renames)
        if not closed:
            raise RuntimeError("the last closing window was not handed out")

    def settled(self):
        return k.hotpath_settled(self._self)

    def abandon_names(self):
        cdef bint settled
        with nogil:
            settled = k.hotpath_abandon_names(self._self)
        return settled

    def closed_window(self):
        cdef _Closed window = _Closed.__new__(_Closed)
        with nogil:
            window.window = k.hotpath_closed_window(self._self)
        if window.window == NULL:
            raise RuntimeError("no window is closing")
        window.hotpath = self
        return ClosedWindow(
            start=window.window.window.start, seconds=self._seconds, samples=window.window.samples,
            series=Rows(window, whole=False), rows=Rows(window, whole=True),
        )

    # --- partials: see partial.py -------------------------------------------------------------------------------------

    def export(self, *, bint changed=False):
        cdef k.progress progress
        memset(&progress, 0, sizeof(progress))
        while not progress.exhausted:
            with nogil:
                k.hotpath_export(self._self, &progress, changed, &self._output)
            if self._output.failed:
                raise MemoryError
            if progress.records:
                yield progress.window, partial.wrap(bytes_of(self._output.bytes, self._output.used))
            else:
                yield progress.window, b""

    def export_gauges(self):
        cdef size_t first = 0
        while first < self._self.registry.gauges_used:
            yield partial.encode_frame(partial.Frame(0, gauges=self._gauges(first)))
            first += partial.RECORDS_PER_FRAME

    cdef list _gauges(self, size_t first):
        cdef size_t index
        cdef k.gauge *found
        cdef cell *current
        cdef list records = []
        k.hotpath_lock(self._self)
        try:
            for index in range(first, min(first + <size_t>partial.RECORDS_PER_FRAME, self._self.registry.gauges_used)):
                found = self._self.registry.gauges[index]
                named, value, updated = series_of(found.series), k.gauge_base(found.series, &self._self.open), found.updated
                at = k.gauge_known_at(found.series, &self._self.open)
                current = k.series_cell(found.series, &self._self.open)
                if current != NULL and current.samples:
                    value, updated = current.last, self._self.open.start
                elif not found.known:
                    continue
                records.append(
                    partial.GaugeRecord(
                        named.metric, named.dimensions, named.derived, value, updated, named.namespace, at
                    )
                )
            return records
        finally:
            k.hotpath_unlock(self._self)

    def merge(self, bytes exported):
        return partial.merge(
            exported, lambda record: self._restore(record), lambda record: self._restore_gauge(record)
        )

    def recover(self, bytes checkpoint):
        return partial.recover(checkpoint, lambda record: self._restore(record))

    cdef bint _restore_gauge(self, object record) except -1:
        cdef list alive = []
        cdef series_name name = name_of(record.series(), alive)
        return k.hotpath_restore_gauge(self._self, &name, record.value, record.updated, record.known_at())

    cdef bint _restore(self, object record) except -1:
        cdef list alive = []
        cdef series_name name = name_of(record.series(), alive)
        cdef k.record flat
        memset(&flat, 0, sizeof(flat))
        try:
            flatten(record, &flat)
            return k.hotpath_restore(self._self, &name, &flat)
        finally:
            free_arrays(&flat)

    # --- inspection and settings --------------------------------------------------------------------------------------

    def snapshot(self):
        cdef size_t first = 0
        while first < self._self.open.used:
            yield self._rows(first)
            first += partial.RECORDS_PER_FRAME

    cdef list _rows(self, size_t first):
        cdef size_t index
        cdef entry *found
        cdef list rows = []
        k.hotpath_lock(self._self)
        try:
            for index in range(first, min(first + <size_t>partial.RECORDS_PER_FRAME, self._self.open.used)):
                found = &self._self.open.entries[index]
                if found.cell.samples:
                    rows.append((series_of(found.series), rollup_of(found, None)))
            return rows
        finally:
            k.hotpath_unlock(self._self)

    def gauges(self):
        cdef size_t first = 0
        while first < self._self.registry.gauges_used:
            yield [(record.series(), record.value) for record in self._gauges(first)]
            first += partial.RECORDS_PER_FRAME

    def list_series(self, size_t first, size_t count):
        cdef size_t index
        k.hotpath_lock(self._self)
        try:
            return [
                series_of(self._self.open.entries[index].series)
                for index in range(first, min(first + count, self._self.open.used))
            ]
        finally:
            k.hotpath_unlock(self._self)

    def delete(self, series):
        return [named for named in series if self._delete(named)]

    cdef bint _delete(self, object named):
        cdef list alive = []
        cdef series_name name = name_of(named, alive)
        return k.hotpath_delete(self._self, &name)

    def rejects(self):
        cdef k.rejects *found = &self._self.rejects
        cdef k.rejected *line
        k.hotpath_lock(self._self)
        try:
            lines = []
            for index in range(max(0, <object>found.seen - k.REJECTS_KEPT), found.seen):
                line = &found.ring[<size_t>index % k.REJECTS_KEPT]
                lines.append(self._rejected_line(line))
            return lines
        finally:
            k.hotpath_unlock(self._self)

    cdef object _rejected_line(self, const k.rejected *line):
        return RejectedLine(
            line=bytes_of(line.line, line.size), reason=self._reasons[line.reason], peer=peer_to(&line.peer),
            time=line.time,
        )

    def senders(self):
        cdef size_t index
        cdef k.senders *copied = <k.senders *>room_for(1, sizeof(k.senders))
        try:
            k.hotpath_lock(self._self)
            memcpy(copied, &self._self.senders, sizeof(k.senders))
            k.hotpath_unlock(self._self)
            found = [self._sender(copied, index) for index in range(copied.used)]
            return Senders(found, self._sender(copied, k.SENDERS_MOST))
        finally:
            free(copied)

    cdef object _sender(self, const k.senders *copied, size_t index):
        cdef const k.sender *found = &copied.places[index]
        peer = peer_to(&found.peer)
        return Sender(
            peer.host if peer else None, found.peer.listener, found.packets, found.lines, found.rejected, found.last_at,
            self._rejected_line(&copied.bad[index]) if found.rejected else None,
        )

    def open_tap(self, wanted):
        cdef k.tap_filter made
        memset(&made, 0, sizeof(made))
        made.of, made.rate = <k.tap_of><int>TAPS.index(wanted.of), wanted.rate
        copy_text(made.pattern, wanted.pattern)
        if wanted.tag:
            for place, text in enumerate(tag_texts(wanted.tag)):
                copy_text(made.tags[<int>place], text)
        if wanted.sender:
            made.has_from, made._from = True, network_of(wanted.sender)
        k.hotpath_lock(self._self)
        number = k.taps_open(&self._self.taps, &made, self._self.counts.lines, self._self.now)
        self._note_filters()
        k.hotpath_unlock(self._self)
        return None if number < 0 else number

    def close_tap(self, int number):
        k.hotpath_lock(self._self)
        if self._self.taps.taps[number] != NULL:
            k.taps_close(&self._self.taps, number)
        self._note_filters()
        k.hotpath_unlock(self._self)

    cdef void _note_filters(self) noexcept:
        self._self.is_filtered = self._self.allow_list.count > 0 or self._self.taps.takes_all

    def tapped(self, int number):
        cdef size_t used = 0, index
        cdef k.tap *tap = self._self.taps.taps[number]
        if tap == NULL:
            raise ValueError(f"no tap {number}")
        cdef k.tapped *lines = <k.tapped *>room_for(k.TAPPED_LINES, sizeof(k.tapped))
        try:
            k.hotpath_lock(self._self)
            while k.tap_pop(tap, &lines[used]):
                used += 1
            counts = TapCounts(self._self.counts.lines - tap.before, tap.matched, tap.hidden, tap.lost, tap.unjudged)
            k.hotpath_unlock(self._self)
            return [self._tapped_line(&lines[index]) for index in range(used)], counts
        finally:
            for index in range(used):
                free(<void *>lines[index].text.at)
            free(lines)

    cdef object _tapped_line(self, const k.tapped *line):
        reason = "" if line.reason < 0 else self._reasons[line.reason]
        peer = peer_to(&line.peer)
        text = bytes_of(line.text.at, line.text.size)
        return TappedLine(text, line.time, peer.host if peer else None, line.peer.listener, TAPS[<int>line.of], reason)

    def overflows(self, identity):
        cdef span name = span_of(<bytes>identity[0]), tags = span_of(<bytes>identity[2])
        return bool(k.hotpath_overflows(self._self, <k.kind><int>KIND_NUMBERS[identity[1]], name, tags))

    def allow(self, cidrs):
        cdef k.allow_list *allow_list = &self._self.allow_list
        cdef k.network *packed
        networks = [str(cidr) for cidr in cidrs]
        if len(networks) > k.NETWORKS_MOST:
            raise ValueError(f"at most {k.NETWORKS_MOST} networks")
        packed = <k.network *>room_for(len(networks), sizeof(k.network))
        try:
            for index, cidr in enumerate(networks):
                packed[<size_t>index] = network_of(cidr)
            k.hotpath_lock(self._self)
            memcpy(allow_list.networks, packed, len(networks) * sizeof(k.network))
            allow_list.count = len(networks)
            self._note_filters()
            k.hotpath_unlock(self._self)
        finally:
            free(packed)

    def admits(self, peer):
        cdef k.peer sender = peer_from(peer, 0)
        k.hotpath_lock(self._self)
        admitted = self._self.allow_list.count == 0 or k.allow_list_admits(&self._self.allow_list, &sender)
        k.hotpath_unlock(self._self)
        return bool(admitted)

    def tally(self):
        cdef k.counts counts
        k.hotpath_lock(self._self)
        counts = self._self.counts
        rejected, dropped = self._by_reason(self._self.rejects.counts), self._by_reason(self._self.counts.dropped)
        last_at, senders = self._self.now, self._self.senders.used
        active, aliases = k.window_series(&self._self.registry, &self._self.open), self._self.aliases - self._self.stand_ins
        k.hotpath_unlock(self._self)
        return Tally(
            datagrams=counts.datagrams, truncated_datagrams=counts.truncated, received=counts.received,
            accepted=counts.accepted, events=counts.events, rejected=rejected, samples_accepted=counts.samples,
            samples_open=counts.open + counts.closing, samples_dropped=dropped, samples_late=counts.late,
            samples_overflow=counts.overflow, samples_unnamed=counts.unnamed, sections_ignored=counts.sections_ignored,
            tags_unread=counts.tags_unread, series=active, aliases=aliases, senders=senders, last_at=last_at,
        )


cdef class NativeReader:
    """One socket's reader: `run` is the body of a thread; it never takes the GIL while it reads."""

    cdef NativeHotPath _hotpath
    cdef k.receiver *_receiver
    cdef k.reader _reader

    def __init__(self, NativeHotPath hotpath, int fd, int stop_fd, double delay, k.uint16_t listener):
        self._hotpath = hotpath
        self._reader.fd, self._reader.stop_fd, self._reader.delay, self._reader.listener = fd, stop_fd, delay, listener
        self._receiver = k.receiver_new(hotpath._self)
        if self._receiver == NULL:
            raise MemoryError

    def __dealloc__(self):
        k.receiver_free(self._receiver)

    def run(self):
        with nogil:
            k.reader_run(&self._reader, self._receiver)

    @property
    def datagrams(self):
        return self._reader.datagrams

    @property
    def wakes(self):
        return self._reader.wakes
