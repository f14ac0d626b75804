/*
 * Many threads at once: they share devices, clusters and errors, make and free their own, free what others use, and one of
 * them forks. With the address of a simulated plug they ask it, too: threads [JSON]
 */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef FORKS
#define FORKS 20
#endif
#define THREADS 6
#define ROUNDS 200

static const char TEXT[] = "stonith_nodes:\n  a: {method: kasa, ip: 127.0.0.1, mgmt_ip: 127.0.0.2}\n";

#ifdef NAMES_OF_A_LATER_RUN_TIME
/* The library's compiler calls these; this run-time knows them by their usual names, and watches those. */
void *__tsan_memset(void *to, int byte, size_t count);
void *__tsan_memcpy(void *to, const void *from, size_t count);
void *__tsan_memmove(void *to, const void *from, size_t count);

void *__tsan_memset(void *to, int byte, size_t count)
{
    return memset(to, byte, count);
}

void *__tsan_memcpy(void *to, const void *from, size_t count)
{
    return memcpy(to, from, count);
}

void *__tsan_memmove(void *to, const void *from, size_t count)
{
    return memmove(to, from, count);
}
#endif

struct shared {
    fencekit_device *device, *plug, *victim;
    fencekit_cluster *cluster;
    fencekit_error *error;
};

/* A thread that fails ends the program. */
static void *work(void *argument)
{
    const struct shared *shared = argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        fencekit_device *own = NULL;
        fencekit_error *error = NULL;
        fencekit_device *from = NULL;
        if (fencekit_device_from_json("{\"method\": \"kasa\", \"ip\": \"127.0.0.9\"}", &own, NULL) != FENCEKIT_RESULT_OK
            || fencekit_cluster_device(shared->cluster, "a", 0, &from, NULL) != FENCEKIT_RESULT_OK
            || fencekit_cluster_device(shared->cluster, "a", 7, &from, &error) != FENCEKIT_RESULT_OUT_OF_RANGE
            || strcmp(fencekit_device_label(shared->device), "kasa @ 127.0.0.1") != 0
            || strcmp(fencekit_device_label(own), "kasa @ 127.0.0.9") != 0
            || fencekit_error_result(shared->error) != FENCEKIT_RESULT_CONFIG
            || fencekit_device_off(shared->device, 0, NULL) != FENCEKIT_RESULT_TIMEOUT
            || fencekit_device_free(own) != FENCEKIT_RESULT_OK || fencekit_device_free(from) != FENCEKIT_RESULT_OK
            || fencekit_error_free(error) != FENCEKIT_RESULT_OK
            || fencekit_device_free(own) != FENCEKIT_RESULT_INVALID_HANDLE) {
            fprintf(stderr, "a thread failed in round %u\n", round);
            exit(1);
        }
        /* One of them frees it while the others call it: each gets a result, nobody a crash. */
        fencekit_result gone = fencekit_device_off(shared->victim, 0, NULL);
        if (gone != FENCEKIT_RESULT_TIMEOUT && gone != FENCEKIT_RESULT_INVALID_HANDLE) {
            fprintf(stderr, "the freed device gave %lu\n", (unsigned long)gone);
            exit(1);
        }
        if (round == ROUNDS / 2) {
            fencekit_device_free(shared->victim);
        }
    }
    if (shared->plug != NULL) {
        uint32_t power = 0;
        fencekit_result result = fencekit_device_status(shared->plug, 30000, &power, NULL);
        if (result != FENCEKIT_RESULT_OK || power != FENCEKIT_POWER_ON) {
            fprintf(stderr, "the plug gave %lu, %lu\n", (unsigned long)result, (unsigned long)power);
            exit(1);
        }
    }
    return NULL;
}

/* While the others work, a child makes and frees handles: the fork must not have caught the table half changed. */
static void fork_now_and_then(const struct shared *shared)
{
    for (int round = 0; round < FORKS; round++) {
        int status = -1;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            fencekit_device *own = NULL;
            fencekit_result made = fencekit_cluster_device(shared->cluster, "a", 0, &own, NULL);
            _exit(made == FENCEKIT_RESULT_OK && fencekit_device_free(own) == FENCEKIT_RESULT_OK ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct shared shared = {NULL, NULL, NULL, NULL, NULL};
    OK(fencekit_device_from_json("{\"method\": \"kasa\", \"ip\": \"127.0.0.1\"}", &shared.device, NULL));
    OK(fencekit_device_from_json("{\"method\": \"kasa\", \"ip\": \"127.0.0.1\"}", &shared.victim, NULL));
    OK(fencekit_cluster_from_text(TEXT, &shared.cluster, NULL));
    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_device_from_json("{}", &shared.device, &shared.error));
    if (argc > 1) {
        OK(fencekit_device_from_json(argv[1], &shared.plug, NULL));
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, &shared) == 0);
    }
    fork_now_and_then(&shared);
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    OK(fencekit_device_free(shared.device));
    OK(fencekit_device_free(shared.plug));
    OK(fencekit_cluster_free(shared.cluster));
    OK(fencekit_error_free(shared.error));
    CHECK(fencekit_live_handles() == 0);
    printf("%d checks passed\n", checks);
    return 0;
}
