#include "filter.h"

#include <arpa/inet.h>
#include <netinet/in.h>

void rejected_set(rejected *rejected, span line, int reason, const peer *peer, double now) {
    rejected->time = now;
    rejected->reason = reason;
    rejected->peer = *peer;
    rejected->size = (uint8_t)(line.size < REJECT_BYTES ? line.size : REJECT_BYTES);
    span_copy(rejected->line, (span){line.at, rejected->size});
}

void rejects_add(rejects *rejects, span line, int reason, const peer *peer, double now) {
    rejects->counts[reason]++;
    rejected_set(&rejects->ring[rejects->seen++ % REJECTS_KEPT], line, reason, peer, now);
}

/* --- the allow-list ----------------------------------------------------------------------------------------------- */

bool network_has(const network *network, const uint8_t *address) {
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address, whole) != 0) return false;
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool allow_list_admits(const allow_list *allow_list, const peer *peer) {
    if (!peer->known) return true;
    for (size_t i = 0; i < allow_list->count; i++)
        if (network_has(&allow_list->networks[i], peer->address)) return true;
    return false;
}

peer peer_of(const struct sockaddr_storage *address, socklen_t size, uint16_t listener) {
    peer peer = {.listener = listener, .known = true};
    if (size == 0) {
        return peer_unknown(listener); /* the kernel wrote no address: the buffer has the one of an earlier packet */
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        peer.address[10] = peer.address[11] = 0xff;
        memcpy(peer.address + 12, &four->sin_addr, 4);
        peer.port = ntohs(four->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)address;
        memcpy(peer.address, &six->sin6_addr, 16);
        peer.port = ntohs(six->sin6_port);
    } else {
        return peer_unknown(listener);
    }
    return peer;
}
