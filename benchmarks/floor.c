/* The lower bound of receiving: a bare loop of recvmmsg on a UDP port of loopback.
 *
 *     floor PORT */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64

int main(int count, char **arguments) {
    static char buffers[BATCH][2048];
    struct mmsghdr headers[BATCH] = {0};
    struct iovec vectors[BATCH];
    if (count < 2) return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return 1;
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        headers[i].msg_hdr.msg_iov = &vectors[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
}
