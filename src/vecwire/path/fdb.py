"""The MAC address table of a learning switch: which port an address was last seen at, per VLAN.

Theory of operation: entries lie in one pool, numbered, and are chained from twice as many buckets. A bucket
is found with SipHash-1-3 under a secret seed, so that nobody can choose addresses that share one. The
memory is mapped once and is all zero at first: what is not used is never touched.

The entries of each port are also a list in the order of their stamps, so that the oldest is at hand. A port
at its bound, or a full table, takes back what has aged, oldest first, and nothing else: no live address
makes way for another. What has aged is not found, and needs no timer to be taken back. No call looks at
more than a few entries, whatever the table holds.

An address that keeps sending is stamped anew only after 1/64 of the age, so that most frames write
nothing. An address is therefore forgotten when it was silent for the age, or up to 1/64 of it sooner.

Time is an argument, in nanoseconds of the monotonic clock, and must not go back. One thread uses a table.
"""

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.fdb import (
    FULL,
    IGNORED,
    KNOWN,
    LEARNED,
    MOVED,
    NOWHERE,
    PORTS,
    Entry,
    Fdb,
    Row,
)

#: Entries or ports looked at for one that has aged, by one call, before an address is refused.
STEPS = cython.declare(cython.int, 16)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def key_of(mac: cython.pointer[cython.const[uint8_t]], vlan: uint32_t) -> uint64_t:
    """The address in the lower 48 bits, in the host's order, and the VLAN above it."""
    low: uint32_t = 0
    high: uint16_t = 0
    memcpy(cython.address(low), mac, 4)
    memcpy(cython.address(high), mac + 4, 2)
    return (
        cython.cast(uint64_t, low)
        | (cython.cast(uint64_t, high) << 32)
        | (cython.cast(uint64_t, vlan & 0xFFF) << 48)
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def rotated(word: uint64_t, by: cython.int) -> uint64_t:
    """The word with its bits moved up, those that leave coming in below."""
    return (word << by) | (word >> (64 - by))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def bucket_of(fdb: cython.pointer[cython.const[Fdb]], key: uint64_t) -> uint32_t:
    """The bucket of a key: SipHash-1-3 (Aumasson and Bernstein, 2012) of one word, without a length."""
    a: uint64_t = fdb.secret[0]
    b: uint64_t = fdb.secret[1]
    c: uint64_t = fdb.secret[2]
    d: uint64_t = fdb.secret[3] ^ key
    i: cython.int
    for i in range(4):
        a += b
        b = rotated(b, 13) ^ a
        a = rotated(a, 32)
        c += d
        d = rotated(d, 16) ^ c
        a += d
        d = rotated(d, 21) ^ a
        c += b
        b = rotated(b, 17) ^ c
        c = rotated(c, 32)
        if i == 0:
            a ^= key
            c ^= 0xFF
    return cython.cast(uint32_t, a ^ b ^ c ^ d) & fdb.mask


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def idle_of(entry: cython.pointer[cython.const[Entry]], now: uint64_t) -> uint64_t:
    """Nanoseconds since the entry was stamped."""
    return now - entry.stamp if now > entry.stamp else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def attach(fdb: cython.pointer[Fdb], at: uint32_t, port: uint32_t, now: uint64_t) -> cython.void:
    """Makes an entry the newest of a port."""
    entry = cython.address(fdb.entries[at])
    place = cython.address(fdb.places[port])
    entry.port = port
    entry.stamp = now
    entry.older = place.newest
    entry.newer = 0
    if place.newest:
        fdb.entries[place.newest].newer = at
    else:
        place.oldest = at
    place.newest = at
    place.count += 1
    if port >= fdb.ports:
        fdb.ports = port + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def detach(fdb: cython.pointer[Fdb], at: uint32_t) -> cython.void:
    """Takes an entry from its port's list."""
    entry = cython.address(fdb.entries[at])
    place = cython.address(fdb.places[entry.port])
    if entry.older:
        fdb.entries[entry.older].newer = entry.newer
    else:
        place.oldest = entry.newer
    if entry.newer:
        fdb.entries[entry.newer].older = entry.older
    else:
        place.newest = entry.older
    place.count -= 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def release(fdb: cython.pointer[Fdb], at: uint32_t) -> cython.void:
    """Frees an entry."""
    entry = cython.address(fdb.entries[at])
    link: cython.pointer[uint32_t] = cython.address(fdb.buckets[bucket_of(fdb, entry.key)])
    while link[0] != at:
        link = cython.address(fdb.entries[link[0]].next)
    link[0] = entry.next
    detach(fdb, at)
    entry.key = 0
    entry.next = fdb.free
    fdb.free = at
    fdb.count -= 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def reclaim(fdb: cython.pointer[Fdb], port: uint32_t, now: uint64_t) -> cython.bint:
    """Frees the oldest entry of a port if it has aged."""
    oldest: uint32_t = fdb.places[port].oldest
    if not oldest or idle_of(cython.address(fdb.entries[oldest]), now) < fdb.age:
        return False
    release(fdb, oldest)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def port_has_room(fdb: cython.pointer[Fdb], port: uint32_t, now: uint64_t) -> cython.bint:
    """Whether a port is below its bound, or is once its own aged entries are freed."""
    if port >= PORTS:
        return False
    place = cython.address(fdb.places[port])
    bound: uint32_t = place.bound or fdb.bound
    _: cython.int
    for _ in range(STEPS):
        if place.count < bound:
            return True
        if not reclaim(fdb, port, now):
            return False
    return place.count < bound


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def table_has_room(fdb: cython.pointer[Fdb], port: uint32_t, now: uint64_t) -> cython.bint:
    """Whether an entry is free, or is once one that has aged is: the port's own, or of the ports in turn."""
    if fdb.count < fdb.capacity or reclaim(fdb, port, now):
        return True
    _: cython.int
    for _ in range(STEPS):
        fdb.hand = fdb.hand + 1 if fdb.hand + 1 < fdb.ports else 0
        if reclaim(fdb, fdb.hand, now):
            return True
    return False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def insert(
    fdb: cython.pointer[Fdb], key: uint64_t, bucket: uint32_t, port: uint32_t, now: uint64_t
) -> int32_t:
    """Learns an address that has no entry."""
    if not port_has_room(fdb, port, now) or not table_has_room(fdb, port, now):
        return FULL
    at: uint32_t = fdb.free
    if at:
        fdb.free = fdb.entries[at].next
    else:
        fdb.fresh += 1
        at = fdb.fresh
    fdb.entries[at].key = key
    fdb.entries[at].next = fdb.buckets[bucket]
    fdb.buckets[bucket] = at
    fdb.count += 1
    attach(fdb, at, port, now)
    return LEARNED


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def renew(fdb: cython.pointer[Fdb], at: uint32_t, bucket: uint32_t, port: uint32_t, now: uint64_t) -> int32_t:
    """Stamps an entry, moves it to the port, or learns it anew if it has aged."""
    entry = cython.address(fdb.entries[at])
    key: uint64_t = entry.key
    if idle_of(entry, now) >= fdb.age:
        release(fdb, at)
        return insert(fdb, key, bucket, port, now)
    if entry.port == port:
        if now > entry.stamp:
            detach(fdb, at)
            attach(fdb, at, port, now)
        return KNOWN
    if not port_has_room(fdb, port, now):
        return FULL
    detach(fdb, at)
    attach(fdb, at, port, now)
    return MOVED


def lookup(
    fdb: cython.pointer[cython.const[Fdb]],
    mac: cython.pointer[cython.const[uint8_t]],
    vlan: uint32_t,
    now: uint64_t,
) -> int32_t:
    """The port that an address is at, or NOWHERE."""
    key: uint64_t = key_of(mac, vlan)
    at: uint32_t = fdb.buckets[bucket_of(fdb, key)]
    while at:
        entry = cython.address(fdb.entries[at])
        if entry.key == key:
            return cython.cast(int32_t, entry.port) if idle_of(entry, now) < fdb.age else NOWHERE
        at = entry.next
    return NOWHERE


def learn(
    fdb: cython.pointer[Fdb],
    mac: cython.pointer[cython.const[uint8_t]],
    vlan: uint32_t,
    port: uint32_t,
    now: uint64_t,
) -> int32_t:
    """Notes that a frame from an address came in at a port; what came of it."""
    key: uint64_t = key_of(mac, vlan)
    bucket: uint32_t = bucket_of(fdb, key)
    at: uint32_t = fdb.buckets[bucket]
    while at:
        entry = cython.address(fdb.entries[at])
        if entry.key == key:
            if entry.port == port and now - entry.stamp <= fdb.grain:
                return KNOWN
            return renew(fdb, at, bucket, port, now)
        at = entry.next
    # Neither is ever in the table, so only a stranger is looked at.
    if mac[0] & 1 or not key << 16:
        return IGNORED
    return insert(fdb, key, bucket, port, now)


def forget(fdb: cython.pointer[Fdb], port: uint32_t) -> uint32_t:
    """Frees the entries of a port below PORTS; how many there were, aged ones too."""
    count: uint32_t = fdb.places[port].count
    while fdb.places[port].oldest:
        release(fdb, fdb.places[port].oldest)
    return count


def forget_all(fdb: cython.pointer[Fdb]) -> cython.void:
    """Frees all entries; bounds stay."""
    port: uint32_t
    memset(fdb.buckets, 0, (cython.cast(cython.size_t, fdb.mask) + 1) * cython.sizeof(uint32_t))
    for port in range(fdb.ports):
        fdb.places[port].oldest = 0
        fdb.places[port].newest = 0
        fdb.places[port].count = 0
    fdb.count = 0
    fdb.fresh = 0
    fdb.free = 0


def tell(fdb: cython.pointer[cython.const[Fdb]], now: uint64_t, rows: cython.pointer[Row]) -> uint32_t:
    """Writes a row for each entry that has not aged, ``fdb.count`` at the most; NULL only counts them."""
    count: uint32_t = 0
    low: uint32_t
    high: uint16_t
    at: uint32_t
    for at in range(1, fdb.fresh + 1):
        entry = cython.address(fdb.entries[at])
        if not entry.key or idle_of(entry, now) >= fdb.age:
            continue
        if rows != cython.NULL:
            row = cython.address(rows[count])
            low = cython.cast(uint32_t, entry.key)
            high = cython.cast(uint16_t, entry.key >> 32)
            memcpy(row.mac, cython.address(low), 4)
            memcpy(cython.address(row.mac[4]), cython.address(high), 2)
            row.vlan = cython.cast(uint16_t, entry.key >> 48)
            row.port = entry.port
            row.idle = idle_of(entry, now)
        count += 1
    return count
