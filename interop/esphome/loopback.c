/*
 * Preloaded into the firmware, which would listen on every interface: it listens at $FENCEKIT_BIND alone, an address of
 * 127.0.0.0/8 that each test has for itself. Without a valid one it does not listen at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (real == NULL) real = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    if (address->sa_family == AF_UNIX) return real(fd, address, length);
    const char *text = getenv("FENCEKIT_BIND");
    struct sockaddr_in loopback;
    if (address->sa_family != AF_INET || length < sizeof loopback || text == NULL) {
        errno = EACCES;
        return -1;
    }
    memcpy(&loopback, address, sizeof loopback);
    if (inet_pton(AF_INET, text, &loopback.sin_addr) != 1 || (ntohl(loopback.sin_addr.s_addr) >> 24) != 127) {
        errno = EACCES;
        return -1;
    }
    return real(fd, (const struct sockaddr *)&loopback, sizeof loopback);
}
