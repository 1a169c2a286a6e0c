/* Checks before parsing (allow-list and tap), and the ring of rejected lines.
 *
 * Theory. None of this runs for an ordinary line. The ring stores the beginning of the last 64 rejected lines. The
 * tap stores the newest 1,000 lines (at most 1 MiB) with a name that matches a glob; while it is on, each line costs
 * one match. The allow-list compares the sender of a datagram with a few networks. Addresses have 16 bytes, IPv4 as
 * ::ffff:a.b.c.d, so one rule serves sockets of both families. */
#ifndef RELAY_FILTER_H
#define RELAY_FILTER_H

#include "base.h"

#include <sys/socket.h>

#define TAPPED_LINES 1000
#define TAPPED_BYTES (1u << 20)
#define NETWORKS_MOST 256

/* The sender of a packet. `known` is false for a Unix socket; then the address has the number of the listener. */
typedef struct peer {
    uint8_t address[16];
    uint16_t port;
    uint16_t listener; /* the number of the socket that received the packet */
    bool known;
} peer;

typedef struct rejected {
    double time;
    peer peer;
    int reason;
    uint8_t size;
    uint8_t line[REJECT_BYTES];
} rejected;

typedef struct rejects {
    uint64_t counts[REASONS_MAX];
    rejected ring[REJECTS_KEPT];
    uint64_t seen;
} rejects;

/* Stores the beginning of a rejected line. */
void rejected_set(rejected *rejected, span line, int reason, const peer *peer, double now);

/* Counts a rejected line, and stores its beginning. */
void rejects_add(rejects *rejects, span line, int reason, const peer *peer, double now);

typedef struct tap {
    char *pattern; /* NULL: off */
    span lines[TAPPED_LINES];
    size_t first, used, bytes;
} tap;

/* Starts the tap with a glob of fnmatch (ended by NUL), or stops it (NULL). Returns false without memory. */
bool tap_set(tap *tap, const char *pattern);

/* Stores a copy of a line with a matching name; the oldest lines make room. */
void tap_offer(tap *tap, span line);

/* Removes and returns the oldest line, which the caller frees; a span of NULL if there is none. */
span tap_pop(tap *tap);

typedef struct allow_list {
    struct network {
        uint8_t address[16];
        unsigned bits;
    } networks[NETWORKS_MOST];
    size_t count;
} allow_list;

/* Says whether a sender is in one of the networks. An unknown sender used a Unix socket and is always allowed: the
 * mode of the socket's file has admitted it. */
bool allow_list_admits(const allow_list *allow_list, const peer *peer);

/* Returns the sender of what came by a Unix socket; its address is never 0. */
static inline peer peer_unknown(uint16_t listener) {
    uint16_t number = (uint16_t)(listener + 1);
    return (peer){.address = {[14] = (uint8_t)(number >> 8), [15] = (uint8_t)number}, .listener = listener};
}

/* Reads an address of `size` bytes from recvmsg; the address of a Unix socket gives an unknown peer. */
peer peer_of(const struct sockaddr_storage *address, socklen_t size, uint16_t listener);

#endif
