/*
 * Fences a node of a cluster file: every device that feeds it off and confirmed, then the proof that the node is dead.
 *
 *   fence_node CLUSTER_FILE NODE [TIMEOUT_MS]
 *   fence_node --verify CLUSTER_FILE NODE [TIMEOUT_MS]     the proof alone; nothing is switched
 *
 * Ends with 0 when the node is proven dead, 1 when it is alive or something failed, 2 for wrong usage or a wrong cluster
 * file, and 3 when it cannot be told.
 */

#include <fencekit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const PROBES[] = {"?", "power", "meter", "icmp", "tcp", "neighbour", "path", "witness"};
static const char *const OUTCOMES[] = {"unknown", "off", "on", "below", "above", "silent", "answered"};

static const char *word(const char *const *words, size_t count, uint32_t number)
{
    /* A later library may know more than this program. */
    return number < count ? words[number] : "?";
}

static void on_log(void *userdata, uint32_t level, const char *message)
{
    (void)userdata;
    fprintf(stderr, "%s: %s\n", level <= FENCEKIT_LOG_LEVEL_WARNING ? "warning" : "info", message);
}

static void print_report(const fencekit_report *report)
{
    printf("%s after %.1f s\n", fencekit_report_node(report), (double)fencekit_report_elapsed_ms(report) / 1000.0);
    for (size_t i = 0; i < fencekit_report_reason_count(report); i++) {
        printf("  because %s\n", fencekit_report_reason(report, i));
    }
    for (size_t i = 0; i < fencekit_report_evidence_count(report); i++) {
        fencekit_evidence evidence;
        if (fencekit_report_evidence(report, i, &evidence) != FENCEKIT_RESULT_OK) {
            break;
        }
        printf("  %-9s %-24s %-10s %-8s %s\n", word(PROBES, sizeof PROBES / sizeof *PROBES, evidence.probe),
               evidence.subject, evidence.network ? evidence.network : "-",
               word(OUTCOMES, sizeof OUTCOMES / sizeof *OUTCOMES, evidence.outcome), evidence.detail);
    }
}

static int exit_code(fencekit_result result)
{
    switch (result) {
    case FENCEKIT_RESULT_OK:
        return 0;
    case FENCEKIT_RESULT_CONFIG:
    case FENCEKIT_RESULT_INVALID_ARGUMENT:
        return 2;
    case FENCEKIT_RESULT_INCONCLUSIVE:
        return 3;
    default:
        return 1;
    }
}

int main(int argc, char **argv)
{
    fencekit_cluster *cluster = NULL;
    fencekit_report *report = NULL;
    fencekit_error *error = NULL;
    fencekit_result result;
    unsigned long timeout_ms = 60000;
    int verify_only = argc > 1 && strcmp(argv[1], "--verify") == 0;
    char **rest = argv + 1 + verify_only;
    int count = argc - 1 - verify_only;

    if (count < 2 || count > 3) {
        fprintf(stderr, "usage: %s [--verify] CLUSTER_FILE NODE [TIMEOUT_MS]\n", argv[0]);
        return 2;
    }
    if (count == 3) {
        char *end = NULL;
        timeout_ms = strtoul(rest[2], &end, 10);
        if (*rest[2] == '\0' || *end != '\0' || timeout_ms > UINT32_MAX) {
            fprintf(stderr, "TIMEOUT_MS: \"%s\" is no number of milliseconds\n", rest[2]);
            return 2;
        }
    }

    fencekit_log_set(on_log, NULL, FENCEKIT_LOG_LEVEL_INFO);
    result = fencekit_cluster_load(rest[0], &cluster, &error);
    if (result == FENCEKIT_RESULT_OK) {
        for (size_t i = 0; i < fencekit_cluster_warning_count(cluster); i++) {
            fprintf(stderr, "warning: %s\n", fencekit_cluster_warning(cluster, i));
        }
        result = verify_only ? fencekit_cluster_verify(cluster, rest[1], (uint32_t)timeout_ms, &report, &error)
                             : fencekit_cluster_fence(cluster, rest[1], (uint32_t)timeout_ms, &report, &error);
    }
    /* A verdict that is no success comes with a report as well. */
    if (report != NULL) {
        print_report(report);
    }
    if (result == FENCEKIT_RESULT_OK) {
        printf("confirmed-off\n");
    } else {
        fprintf(stderr, "%s: %s\n", fencekit_result_text(result), error ? fencekit_error_message(error) : "?");
    }

    fencekit_error_free(error);
    fencekit_report_free(report);
    fencekit_cluster_free(cluster);
    return exit_code(result);
}
