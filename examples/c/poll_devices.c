/*
 * Asks many devices for their state at once, again and again: what a monitoring daemon does.
 *
 *   poll_devices CLUSTER_FILE [ROUNDS [TIMEOUT_MS]]
 *
 * Prints a line for each device and round. Ends with 0 when every device answered in the last round, else with 1, and with
 * 2 for wrong usage or a wrong cluster file.
 */

#include <fencekit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const POWER[] = {"unknown", "on", "off"};

static int complain(const char *what, fencekit_result result, fencekit_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error ? fencekit_error_message(error) : fencekit_result_text(result));
    fencekit_error_free(error);
    return 2;
}

/* One round; the number of devices whose state is not known, or -1 when they could not be asked at all. */
static int poll_once(fencekit_device **devices, size_t count, uint32_t timeout_ms)
{
    fencekit_statuses *statuses = NULL;
    fencekit_error *error = NULL;
    int unknown = 0;
    fencekit_result result = fencekit_devices_status((const fencekit_device *const *)devices, count, timeout_ms,
                                                     &statuses, &error);
    if (result != FENCEKIT_RESULT_OK) {
        complain("poll", result, error);
        return -1;
    }
    for (size_t i = 0; i < fencekit_statuses_count(statuses); i++) {
        fencekit_status status;
        if (fencekit_statuses_get(statuses, i, &status) != FENCEKIT_RESULT_OK) {
            break;
        }
        printf("%s: %s", status.device, status.power < 3 ? POWER[status.power] : "?");
        if (!isnan(status.watts)) {
            printf(", %.1f W", status.watts);
        }
        if (status.detail != NULL) {
            printf(" (%s)", status.detail);
        }
        printf(", %lu ms\n", (unsigned long)status.elapsed_ms);
        unknown += status.result != FENCEKIT_RESULT_OK;
    }
    fencekit_statuses_free(statuses);
    return unknown;
}

/* The devices of all nodes. They are made once: they hold no connection, and what they were made of is checked then. */
static fencekit_result collect(const fencekit_cluster *cluster, fencekit_device **devices, size_t *made,
                               fencekit_error **error)
{
    for (size_t n = 0; n < fencekit_cluster_node_count(cluster); n++) {
        const char *node = fencekit_cluster_node(cluster, n);
        for (size_t i = 0; i < fencekit_cluster_device_count(cluster, node); i++) {
            fencekit_result result = fencekit_cluster_device(cluster, node, i, &devices[*made], error);
            if (result != FENCEKIT_RESULT_OK) {
                return result;
            }
            ++*made;
        }
    }
    return FENCEKIT_RESULT_OK;
}

int main(int argc, char **argv)
{
    fencekit_cluster *cluster = NULL;
    fencekit_error *error = NULL;
    fencekit_device **devices;
    fencekit_result result;
    size_t total = 0, made = 0;
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    long timeout_ms = argc > 3 ? strtol(argv[3], NULL, 10) : 10000;
    int unknown = -1;

    if (argc < 2 || argc > 4 || rounds < 1 || timeout_ms < 1) {
        fprintf(stderr, "usage: %s CLUSTER_FILE [ROUNDS [TIMEOUT_MS]]\n", argv[0]);
        return 2;
    }
    result = fencekit_cluster_load(argv[1], &cluster, &error);
    if (result != FENCEKIT_RESULT_OK) {
        return complain(argv[1], result, error);
    }
    for (size_t n = 0; n < fencekit_cluster_node_count(cluster); n++) {
        total += fencekit_cluster_device_count(cluster, fencekit_cluster_node(cluster, n));
    }
    devices = calloc(total ? total : 1, sizeof *devices);
    if (devices == NULL) {
        fencekit_cluster_free(cluster);
        return 1;
    }
    result = collect(cluster, devices, &made, &error);
    fencekit_cluster_free(cluster);
    if (result == FENCEKIT_RESULT_OK) {
        for (long round = 0; round < rounds; round++) {
            unknown = poll_once(devices, made, (uint32_t)timeout_ms);
        }
    } else {
        complain(argv[1], result, error);
    }
    for (size_t i = 0; i < made; i++) {
        fencekit_device_free(devices[i]);
    }
    free(devices);
    if (result != FENCEKIT_RESULT_OK) {
        return 2;
    }
    return unknown == 0 ? 0 : 1;
}
