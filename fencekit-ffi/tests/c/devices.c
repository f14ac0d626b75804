/*
 * Everything that talks to devices, against a simulated metered plug: devices CLUSTER_FILE NODE JSON
 */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 20000

struct heard {
    pthread_t thread;
    fencekit_device *device;
    unsigned lines, on_other_threads, reentered;
};

static void on_log(void *userdata, uint32_t level, const char *message)
{
    struct heard *heard = userdata;
    uint32_t power = 77;
    CHECK(level >= FENCEKIT_LOG_LEVEL_ERROR && level <= FENCEKIT_LOG_LEVEL_TRACE);
    CHECK(message != NULL && strchr(message, '\n') == NULL);
    heard->lines++;
    heard->on_other_threads += !pthread_equal(heard->thread, pthread_self());
    CHECK(fencekit_device_label(heard->device) != NULL);
    heard->reentered += fencekit_device_status(heard->device, LIMIT, &power, NULL) == FENCEKIT_RESULT_REENTERED;
    CHECK(power == 77);
}

static void one_device(fencekit_device *plug)
{
    uint32_t power = 77;
    fencekit_confirmation confirmation;
    fencekit_power_reading reading;
    fencekit_outlets *outlets = NULL;
    fencekit_identity *identity = NULL;
    fencekit_outlet outlet;
    fencekit_error *error = NULL;

    OK(fencekit_device_on(plug, LIMIT, &error));
    OK(fencekit_device_status(plug, LIMIT, &power, &error));
    CHECK(power == FENCEKIT_POWER_ON);
    OK(fencekit_device_off_confirmed(plug, LIMIT, &confirmation, &error));
    CHECK(confirmation.before == FENCEKIT_POWER_ON && confirmation.commands >= 1 && confirmation.looks >= 1);
    CHECK(confirmation.watts <= 5.0);
    OK(fencekit_device_status(plug, LIMIT, &power, &error));
    CHECK(power == FENCEKIT_POWER_OFF);
    OK(fencekit_device_off(plug, LIMIT, &error));
    OK(fencekit_device_power_reading(plug, LIMIT, &reading, &error));
    CHECK(reading.watts < 1.0);
    OK(fencekit_device_outlets(plug, LIMIT, &outlets, &error));
    CHECK(fencekit_outlets_count(outlets) == 1);
    OK(fencekit_outlets_get(outlets, 0, &outlet));
    CHECK(outlet.power == FENCEKIT_POWER_OFF && outlet.plug != NULL && outlet.alias != NULL);
    GIVES(FENCEKIT_RESULT_OUT_OF_RANGE, fencekit_outlets_get(outlets, 1, &outlet));
    GIVES(FENCEKIT_RESULT_NULL_ARGUMENT, fencekit_outlets_get(outlets, 0, NULL));
    OK(fencekit_outlets_free(outlets));
    OK(fencekit_device_identity(plug, LIMIT, &identity, &error));
    CHECK(strcmp(fencekit_identity_mac(identity), "50:C7:BF:00:00:01") == 0);
    CHECK(fencekit_identity_guid(identity) == NULL && fencekit_identity_name(identity) != NULL);
    OK(fencekit_identity_free(identity));
    OK(fencekit_device_reboot(plug, LIMIT, &error));
    OK(fencekit_device_status(plug, LIMIT, &power, &error));
    CHECK(power == FENCEKIT_POWER_ON);
    CHECK(error == NULL);
}

static void the_log(fencekit_device *plug)
{
    struct heard heard = {pthread_self(), plug, 0, 0, 0};
    fencekit_error *error = NULL;
    uint32_t power;
    fencekit_device *nobody = NULL;
    /* Nobody listens there, so that there is something to tell: connecting is tried again. */
    OK(fencekit_device_from_json("{\"method\": \"kasa\", \"transport\": \"xor\", \"ip\": \"127.0.0.1\", \"ipport\": 9}",
                                 &nobody, NULL));
    OK(fencekit_log_set(on_log, &heard, FENCEKIT_LOG_LEVEL_DEBUG));
    GIVES(FENCEKIT_RESULT_UNREACHABLE, fencekit_device_status(nobody, LIMIT, &power, &error));
    CHECK(heard.lines > 0 && heard.on_other_threads == 0 && heard.reentered == heard.lines);
    OK(fencekit_log_set(NULL, NULL, FENCEKIT_LOG_LEVEL_DEBUG));
    heard.lines = 0;
    GIVES(FENCEKIT_RESULT_UNREACHABLE, fencekit_device_status(nobody, LIMIT, &power, NULL));
    CHECK(heard.lines == 0);
    OK(fencekit_error_free(error));
    OK(fencekit_device_free(nobody));
}

/* A password that others can read is told of too, while a device is made: the callback may not switch anything then either. */
static void the_log_of_a_password(const char *cluster_file, fencekit_device *plug)
{
    struct heard heard = {pthread_self(), plug, 0, 0, 0};
    char path[4096], json[5000];
    fencekit_device *made = NULL;
    FILE *secret;
    CHECK(snprintf(path, sizeof path, "%s.secret", cluster_file) < (int)sizeof path);
    secret = fopen(path, "w");
    CHECK(secret != NULL && fputs("s3cret\n", secret) >= 0 && fclose(secret) == 0 && chmod(path, 0644) == 0);
    snprintf(json, sizeof json,
             "{\"method\": \"kasa\", \"ip\": \"127.0.0.1\", \"username\": \"u\", \"password_file\": \"%s\"}", path);
    OK(fencekit_log_set(on_log, &heard, FENCEKIT_LOG_LEVEL_WARNING));
    OK(fencekit_device_from_json(json, &made, NULL));
    OK(fencekit_log_set(NULL, NULL, FENCEKIT_LOG_LEVEL_OFF));
    CHECK(heard.lines == 1 && heard.on_other_threads == 0 && heard.reentered == 1);
    OK(fencekit_device_free(made));
}

static void whole_nodes(const char *path, const char *node)
{
    fencekit_cluster *cluster = NULL;
    fencekit_statuses *statuses = NULL;
    fencekit_report *report = NULL;
    fencekit_diagnosis *diagnosis = NULL;
    fencekit_error *error = NULL;
    fencekit_status status;
    fencekit_evidence evidence;
    unsigned off = 0, answered = 0;

    OK(fencekit_cluster_load(path, &cluster, &error));
    CHECK(strcmp(fencekit_cluster_node(cluster, 0), node) == 0);
    CHECK(fencekit_cluster_device_count(cluster, node) == 1);
    OK(fencekit_cluster_off(cluster, node, LIMIT, &error));
    OK(fencekit_cluster_status(cluster, NULL, LIMIT, &statuses, &error));
    OK(fencekit_statuses_get(statuses, 0, &status));
    CHECK(status.power == FENCEKIT_POWER_OFF && strcmp(status.node, node) == 0 && status.detail == NULL);
    OK(fencekit_statuses_free(statuses));

    /* Its address is this host's own, so it answers: off, and alive all the same. */
    GIVES(FENCEKIT_RESULT_STILL_ALIVE, fencekit_cluster_fence(cluster, node, 30000, &report, &error));
    CHECK(report != NULL && error != NULL);
    CHECK(fencekit_report_verdict(report) == FENCEKIT_VERDICT_STILL_ALIVE);
    CHECK(strcmp(fencekit_report_node(report), node) == 0 && fencekit_report_reason_count(report) > 0);
    for (size_t i = 0; i < fencekit_report_evidence_count(report); i++) {
        OK(fencekit_report_evidence(report, i, &evidence));
        CHECK(evidence.subject != NULL && evidence.detail != NULL);
        CHECK((evidence.network == NULL) == (evidence.probe <= FENCEKIT_PROBE_METER));
        off += evidence.probe == FENCEKIT_PROBE_POWER && evidence.outcome == FENCEKIT_OUTCOME_OFF;
        answered += evidence.outcome == FENCEKIT_OUTCOME_ANSWERED;
    }
    CHECK(off == 1 && answered >= 1);
    GIVES(FENCEKIT_RESULT_OUT_OF_RANGE, fencekit_report_evidence(report, 1000, &evidence));
    CHECK(strstr(fencekit_report_json(report), "\"verdict\":\"still-alive\"") != NULL);
    CHECK(strstr(fencekit_report_json(report), "\"off\":[{") != NULL);
    OK(fencekit_report_free(report));
    OK(fencekit_error_free(error));

    report = NULL;
    GIVES(FENCEKIT_RESULT_STILL_ALIVE, fencekit_cluster_verify(cluster, node, 30000, &report, NULL));
    CHECK(strstr(fencekit_report_json(report), "\"off\":[{") == NULL);
    OK(fencekit_report_free(report));

    fencekit_result examined = fencekit_cluster_doctor(cluster, node, LIMIT, &diagnosis, NULL);
    CHECK(examined == FENCEKIT_RESULT_PROBLEMS || examined == FENCEKIT_RESULT_INCONCLUSIVE);
    CHECK(fencekit_diagnosis_count(diagnosis) > 0);
    CHECK(strstr(fencekit_diagnosis_json(diagnosis), "\"findings\":[") != NULL);
    OK(fencekit_diagnosis_free(diagnosis));

    OK(fencekit_cluster_on(cluster, node, LIMIT, NULL));
    OK(fencekit_cluster_reboot(cluster, node, LIMIT, NULL));
    OK(fencekit_cluster_free(cluster));
}

/* The child uses what the parent made, and the parent goes on. */
static void after_a_fork(fencekit_device *plug)
{
    int status = -1;
    uint32_t power = 77;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(fencekit_device_status(plug, LIMIT, &power, NULL));
        fencekit_device *own = NULL;
        OK(fencekit_device_from_json("{\"method\": \"kasa\", \"ip\": \"127.0.0.1\"}", &own, NULL));
        OK(fencekit_device_free(own));
        OK(fencekit_device_free(plug));
        _exit(power == FENCEKIT_POWER_ON ? 0 : 2);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(fencekit_device_status(plug, LIMIT, &power, NULL));
    CHECK(power == FENCEKIT_POWER_ON);
}

int main(int argc, char **argv)
{
    fencekit_device *plug = NULL;
    CHECK(argc == 4);
    OK(fencekit_device_from_json(argv[3], &plug, NULL));
    one_device(plug);
    the_log(plug);
    the_log_of_a_password(argv[1], plug);
    whole_nodes(argv[1], argv[2]);
    after_a_fork(plug);
    OK(fencekit_device_free(plug));
    CHECK(fencekit_live_handles() == 0);
    printf("%d checks passed\n", checks);
    return 0;
}
