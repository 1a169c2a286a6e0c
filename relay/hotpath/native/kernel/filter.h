/* Peers, the allow-list, and the ring of rejected lines.
 *
 * Theory. None of this runs for an ordinary line. The ring stores the beginning of the last 64 rejected lines. The
 * allow-list compares the sender of a datagram with a few networks. Addresses have 16 bytes, IPv4 as ::ffff:a.b.c.d,
 * so one rule serves sockets of both families. */
#ifndef RELAY_FILTER_H
#define RELAY_FILTER_H

#include "base.h"

#include <sys/socket.h>

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

typedef struct network {
    uint8_t address[16];
    unsigned bits; /* at most 128 */
} network;

bool network_has(const network *network, const uint8_t *address);

typedef struct allow_list {
    network networks[NETWORKS_MOST];
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
