/*
 * What a wrong program gets: NULL, garbage and freed or foreign handles in every place of every function, wrong texts, and
 * a panic. No device is needed.
 */

#include "check.h"

#include <math.h>
#include <stdint.h>

#define NULL_ARG FENCEKIT_RESULT_NULL_ARGUMENT
#define INVALID FENCEKIT_RESULT_INVALID_HANDLE

static const char CLUSTER[] = "stonith_nodes:\n"
                              "  a: {method: kasa, ip: 127.0.0.1, mgmt_ip: 127.0.0.2}\n"
                              "  b: {devices: [{method: tasmota, ip: 127.0.0.1, password: s3cret},"
                              " {method: http, ip: 127.0.0.1, power_on_url: /1, power_off_url: /0, status_url: /s,"
                              " status_on_regex: ON, status_off_regex: OFF}]}\n";

/* Nothing here is dereferenced: a handle is looked up, never followed. */
static void *const GARBAGE[] = {(void *)1, (void *)0xdeadbeef, (void *)UINTPTR_MAX, (void *)CLUSTER};

static fencekit_device *device(void)
{
    fencekit_device *made = NULL;
    OK(fencekit_device_from_json("{\"method\": \"kasa\", \"ip\": \"127.0.0.1\"}", &made, NULL));
    CHECK(made != NULL);
    return made;
}

static fencekit_cluster *cluster(void)
{
    fencekit_cluster *made = NULL;
    OK(fencekit_cluster_from_text(CLUSTER, &made, NULL));
    CHECK(made != NULL);
    return made;
}

/* Every function that takes a handle, with one that is none. */
static void refuse(void *handle, fencekit_result expected)
{
    uint32_t power = 77;
    fencekit_confirmation confirmation;
    fencekit_power_reading reading;
    fencekit_outlet outlet;
    fencekit_evidence evidence;
    fencekit_status status;
    fencekit_file file;
    void *out = &power;

    GIVES(expected, fencekit_device_status(handle, 100, &power, NULL));
    CHECK(power == 77);
    GIVES(expected, fencekit_device_off(handle, 100, NULL));
    GIVES(expected, fencekit_device_off_confirmed(handle, 100, &confirmation, NULL));
    GIVES(expected, fencekit_device_on(handle, 100, NULL));
    GIVES(expected, fencekit_device_reboot(handle, 100, NULL));
    GIVES(expected, fencekit_device_outlets(handle, 100, (fencekit_outlets **)&out, NULL));
    GIVES(expected, fencekit_device_power_reading(handle, 100, &reading, NULL));
    GIVES(expected, fencekit_device_identity(handle, 100, (fencekit_identity **)&out, NULL));
    GIVES(expected, fencekit_outlets_get(handle, 0, &outlet));
    GIVES(expected, fencekit_cluster_off(handle, "a", 100, NULL));
    GIVES(expected, fencekit_cluster_on(handle, "a", 100, NULL));
    GIVES(expected, fencekit_cluster_reboot(handle, "a", 100, NULL));
    GIVES(expected, fencekit_cluster_device(handle, "a", 0, (fencekit_device **)&out, NULL));
    GIVES(expected, fencekit_cluster_verify(handle, "a", 100, (fencekit_report **)&out, NULL));
    GIVES(expected, fencekit_cluster_fence(handle, "a", 100, (fencekit_report **)&out, NULL));
    GIVES(expected, fencekit_cluster_status(handle, NULL, 100, (fencekit_statuses **)&out, NULL));
    GIVES(expected, fencekit_cluster_generate(handle, "pcs", NULL, (fencekit_generated **)&out, NULL));
    GIVES(expected, fencekit_cluster_generate_with(handle, "pcs", NULL, 0, 100, (fencekit_generated **)&out, NULL));
    GIVES(expected, fencekit_cluster_doctor(handle, NULL, 100, (fencekit_diagnosis **)&out, NULL));
    GIVES(expected, fencekit_report_evidence(handle, 0, &evidence));
    GIVES(expected, fencekit_statuses_get(handle, 0, &status));
    GIVES(expected, fencekit_generated_file(handle, 0, &file));
    GIVES(expected, fencekit_error_result(handle));
    CHECK(out == &power);

    CHECK(fencekit_device_label(handle) == NULL);
    CHECK(fencekit_error_message(handle) == NULL);
    CHECK(fencekit_error_option(handle) == NULL);
    CHECK(!fencekit_error_is_transient(handle));
    CHECK(fencekit_identity_mac(handle) == NULL && fencekit_identity_device_id(handle) == NULL);
    CHECK(fencekit_identity_guid(handle) == NULL && fencekit_identity_name(handle) == NULL);
    CHECK(fencekit_identity_model(handle) == NULL && fencekit_identity_firmware(handle) == NULL);
    CHECK(fencekit_outlets_count(handle) == 0);
    CHECK(fencekit_cluster_node_count(handle) == 0 && fencekit_cluster_node(handle, 0) == NULL);
    CHECK(fencekit_cluster_warning_count(handle) == 0 && fencekit_cluster_warning(handle, 0) == NULL);
    CHECK(fencekit_cluster_device_count(handle, "a") == 0);
    /* Whatever it is, it never says that anything is off. */
    CHECK(fencekit_report_verdict(handle) == FENCEKIT_VERDICT_INCONCLUSIVE);
    CHECK(fencekit_report_node(handle) == NULL && fencekit_report_json(handle) == NULL);
    CHECK(fencekit_report_elapsed_ms(handle) == 0);
    CHECK(fencekit_report_reason_count(handle) == 0 && fencekit_report_reason(handle, 0) == NULL);
    CHECK(fencekit_report_evidence_count(handle) == 0);
    CHECK(fencekit_statuses_count(handle) == 0 && fencekit_statuses_json(handle) == NULL);
    CHECK(fencekit_generated_text(handle) == NULL && fencekit_generated_holds_secrets(handle));
    CHECK(fencekit_generated_note_count(handle) == 0 && fencekit_generated_note(handle, 0) == NULL);
    CHECK(fencekit_generated_file_count(handle) == 0);
    CHECK(fencekit_diagnosis_count(handle) == 0 && fencekit_diagnosis_json(handle) == NULL);
}

/* Every free, with what it is not to free. */
static void free_refused(void *handle, fencekit_result expected)
{
    GIVES(expected, fencekit_device_free(handle));
    GIVES(expected, fencekit_cluster_free(handle));
    GIVES(expected, fencekit_error_free(handle));
    GIVES(expected, fencekit_identity_free(handle));
    GIVES(expected, fencekit_outlets_free(handle));
    GIVES(expected, fencekit_report_free(handle));
    GIVES(expected, fencekit_statuses_free(handle));
    GIVES(expected, fencekit_generated_free(handle));
    GIVES(expected, fencekit_diagnosis_free(handle));
}

static void handles_that_are_none(void)
{
    size_t before = fencekit_live_handles();
    refuse(NULL, NULL_ARG);
    free_refused(NULL, FENCEKIT_RESULT_OK);
    for (size_t i = 0; i < sizeof GARBAGE / sizeof *GARBAGE; i++) {
        refuse(GARBAGE[i], INVALID);
        free_refused(GARBAGE[i], INVALID);
    }
    fencekit_device *freed = device();
    OK(fencekit_device_free(freed));
    refuse(freed, INVALID);
    free_refused(freed, INVALID);
    /* A later handle is another one: the freed one stays dead. */
    fencekit_device *next = device();
    CHECK(next != freed);
    CHECK(fencekit_device_label(freed) == NULL);
    OK(fencekit_device_free(next));
    CHECK(fencekit_live_handles() == before);
}

static void handles_of_other_types(void)
{
    fencekit_device *kasa = device();
    fencekit_cluster *two = cluster();
    uint32_t power = 77;
    fencekit_report *report = NULL;

    GIVES(INVALID, fencekit_device_status((fencekit_device *)two, 100, &power, NULL));
    GIVES(INVALID, fencekit_cluster_verify((fencekit_cluster *)kasa, "a", 60000, &report, NULL));
    GIVES(INVALID, fencekit_device_free((fencekit_device *)two));
    GIVES(INVALID, fencekit_cluster_free((fencekit_cluster *)kasa));
    CHECK(power == 77 && report == NULL);
    /* Both are still there. */
    CHECK(strcmp(fencekit_device_label(kasa), "kasa @ 127.0.0.1") == 0);
    CHECK(fencekit_cluster_node_count(two) == 2);
    OK(fencekit_device_free(kasa));
    OK(fencekit_cluster_free(two));
}

/* A handle that came from another one does not need it. All orders of three. */
static void freed_in_every_order(void)
{
    static const int ORDERS[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t order = 0; order < 6; order++) {
        fencekit_cluster *from = cluster();
        fencekit_device *made = NULL;
        fencekit_error *error = NULL;
        OK(fencekit_cluster_device(from, "b", 1, &made, NULL));
        GIVES(FENCEKIT_RESULT_OUT_OF_RANGE, fencekit_cluster_device(from, "b", 2, &made, &error));
        for (size_t step = 0; step < 3; step++) {
            switch (ORDERS[order][step]) {
            case 0:
                OK(fencekit_cluster_free(from));
                GIVES(INVALID, fencekit_cluster_free(from));
                break;
            case 1:
                CHECK(strcmp(fencekit_device_label(made), "http @ 127.0.0.1") == 0);
                OK(fencekit_device_free(made));
                GIVES(INVALID, fencekit_device_free(made));
                break;
            default:
                CHECK(strstr(fencekit_error_message(error), "there are 2") != NULL);
                OK(fencekit_error_free(error));
                GIVES(INVALID, fencekit_error_free(error));
            }
        }
        CHECK(fencekit_live_handles() == 0);
    }
}

static void places_that_are_null(void)
{
    fencekit_device *kasa = device();
    fencekit_cluster *two = cluster();
    GIVES(NULL_ARG, fencekit_device_new("kasa", NULL, 0, NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_from_json("{}", NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_status(kasa, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_off_confirmed(kasa, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_outlets(kasa, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_power_reading(kasa, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_device_identity(kasa, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_devices_status(NULL, 0, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_load("/dev/null", NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_from_text(CLUSTER, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_device(two, "a", 0, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_verify(two, "a", 60000, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_fence(two, "a", 60000, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_status(two, NULL, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_generate(two, "pcs", NULL, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_generate_with(two, "pcs", NULL, 0, 100, NULL, NULL));
    GIVES(NULL_ARG, fencekit_cluster_doctor(two, NULL, 100, NULL, NULL));
    /* A pointer that is not aligned is no place either; nothing is written there. */
    char bytes[2 * sizeof(fencekit_confirmation)] = {0};
    GIVES(FENCEKIT_RESULT_INVALID_ARGUMENT,
          fencekit_device_off_confirmed(kasa, 100, (fencekit_confirmation *)(void *)(bytes + 1), NULL));
    for (size_t i = 0; i < sizeof bytes; i++) {
        CHECK(bytes[i] == 0);
    }
    OK(fencekit_device_free(kasa));
    OK(fencekit_cluster_free(two));
}

/* The call fails with this result, and its error names this option. */
#define WRONG(expected, option, expression)                                                                            \
    do {                                                                                                               \
        e = NULL;                                                                                                      \
        GIVES(expected, expression);                                                                                   \
        complains(expected, option, e);                                                                                \
    } while (0)

static void complains(fencekit_result expected, const char *option, fencekit_error *error)
{
    CHECK(error != NULL);
    GIVES(expected, fencekit_error_result(error));
    CHECK(fencekit_error_message(error) != NULL && *fencekit_error_message(error) != '\0');
    CHECK(strstr(fencekit_error_message(error), "hunter2") == NULL);
    if (option == NULL) {
        CHECK(fencekit_error_option(error) == NULL);
    } else {
        CHECK(fencekit_error_option(error) != NULL && strcmp(fencekit_error_option(error), option) == 0);
    }
    OK(fencekit_error_free(error));
}

static void texts_that_are_wrong(void)
{
    fencekit_device *made = NULL;
    fencekit_cluster *two = NULL;
    fencekit_report *report = NULL;
    fencekit_error *e = NULL;
    const fencekit_option ip = {"ip", "127.0.0.1"};
    const fencekit_option twisted[] = {{"ip", "127.0.0.1"}, {"ipport", "http"}};
    const fencekit_option nameless = {NULL, "x"}, valueless = {"ip", NULL}, strange = {"colour", "hunter2"};

    WRONG(NULL_ARG, NULL, fencekit_device_new(NULL, &ip, 1, &made, &e));
    WRONG(NULL_ARG, NULL, fencekit_device_new("kasa", NULL, 1, &made, &e));
    WRONG(NULL_ARG, NULL, fencekit_device_new("kasa", &nameless, 1, &made, &e));
    WRONG(NULL_ARG, NULL, fencekit_device_new("kasa", &valueless, 1, &made, &e));
    WRONG(FENCEKIT_RESULT_INVALID_ARGUMENT, NULL, fencekit_device_new("kasa", &ip, SIZE_MAX, &made, &e));
    WRONG(FENCEKIT_RESULT_INVALID_UTF8, NULL, fencekit_device_new("\xff\xfe", &ip, 1, &made, &e));
    WRONG(FENCEKIT_RESULT_CONFIG, "ipport", fencekit_device_new("kasa", twisted, 2, &made, &e));
    WRONG(FENCEKIT_RESULT_CONFIG, "colour", fencekit_device_new("kasa", &strange, 1, &made, &e));
    WRONG(FENCEKIT_RESULT_CONFIG, "ip", fencekit_device_new("kasa", NULL, 0, &made, &e));
    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_device_new("toaster", &ip, 1, &made, &e));
    CHECK(strstr(fencekit_error_message(e), "toaster") != NULL);
    OK(fencekit_error_free(e));
    WRONG(FENCEKIT_RESULT_CONFIG, "json", fencekit_device_from_json("{\"password\": \"hunter2", &made, &e));
    WRONG(NULL_ARG, NULL, fencekit_device_from_json(NULL, &made, &e));
    WRONG(NULL_ARG, NULL, fencekit_cluster_load(NULL, &two, &e));
    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_cluster_load("/nonexistent/cluster.yml", &two, NULL));
    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_cluster_from_text("stonith_nodes: [", &two, NULL));
    CHECK(made == NULL && two == NULL);

    OK(fencekit_cluster_from_text(CLUSTER, &two, NULL));
    WRONG(FENCEKIT_RESULT_CONFIG, "node", fencekit_cluster_verify(two, "c", 60000, &report, &e));
    WRONG(NULL_ARG, NULL, fencekit_cluster_fence(two, NULL, 60000, &report, &e));
    /* Shorter than the window: refused before anything is switched. */
    WRONG(FENCEKIT_RESULT_INVALID_ARGUMENT, NULL, fencekit_cluster_fence(two, "a", 1000, &report, &e));
    CHECK(report == NULL);
    CHECK(fencekit_cluster_device_count(two, "c") == 0 && fencekit_cluster_device_count(two, NULL) == 0);
    OK(fencekit_cluster_free(two));
}

static void a_wrong_text_names_its_option(void)
{
    const fencekit_option wrong[] = {{"plug", NULL}, {"expect_identity", "\xff\xfe"}};
    fencekit_device *device = NULL;
    fencekit_error *error = NULL;
    for (size_t i = 0; i < 2; i++) {
        CHECK(fencekit_device_new("kasa", wrong + i, 1, &device, &error) != FENCEKIT_RESULT_OK && device == NULL);
        CHECK(strstr(fencekit_error_message(error), wrong[i].name) != NULL);
        OK(fencekit_error_free(error));
    }
}

static void what_is_generated(void)
{
    fencekit_cluster *two = cluster();
    fencekit_generated *made = NULL;
    fencekit_error *error = NULL;
    fencekit_file file;
    size_t secrets = 0;

    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_cluster_generate(two, "poem", NULL, &made, &error));
    CHECK(made == NULL && strcmp(fencekit_error_option(error), "kind") == 0);
    OK(fencekit_error_free(error));
    OK(fencekit_cluster_generate(two, "crmsh", NULL, &made, NULL));
    CHECK(strstr(fencekit_generated_text(made), "fence_tasmota") != NULL);
    CHECK(strstr(fencekit_generated_text(made), "s3cret") != NULL && fencekit_generated_holds_secrets(made));
    CHECK(fencekit_generated_file_count(made) == 0);
    GIVES(FENCEKIT_RESULT_OUT_OF_RANGE, fencekit_generated_file(made, 0, &file));
    OK(fencekit_generated_free(made));

    OK(fencekit_cluster_generate(two, "tasmota", "/etc/elsewhere.yml", &made, NULL));
    CHECK(!fencekit_generated_holds_secrets(made));
    CHECK(strstr(fencekit_generated_text(made), "s3cret") == NULL);
    CHECK(fencekit_generated_note_count(made) > 0 && fencekit_generated_note(made, 0) != NULL);
    CHECK(fencekit_generated_note(made, SIZE_MAX) == NULL);
    for (size_t i = 0; i < fencekit_generated_file_count(made); i++) {
        OK(fencekit_generated_file(made, i, &file));
        CHECK(file.name != NULL && file.text != NULL);
        secrets += file.secret && strstr(file.text, "s3cret") != NULL;
    }
    CHECK(secrets == 1);
    OK(fencekit_generated_free(made));
    OK(fencekit_cluster_free(two));
}

static void what_is_generated_with_options(void)
{
    static const char named[] =
        "stonith_nodes:\n"
        "  a: {method: tasmota, ip: localhost, password_script: exec sleep 5, mgmt_ip: 10.0.0.1}\n"
        "  b: {method: kasa, ip: 10.0.0.2, mgmt_ip: 10.0.0.3}\n";
    fencekit_cluster *cluster = NULL;
    fencekit_generated *made = NULL;
    fencekit_error *error = NULL;
    const fencekit_option for_b[] = {{"node", "b"}, {"resolve", "1"}, {"ntp_server", "10.0.0.9"}};
    const fencekit_option wrong[][2] = {{{"nodes", "b"}, {"resolve", "1"}},
                                        {{"node", "c"}, {"resolve", "1"}},
                                        {{"resolve", "yes"}, {"node", "b"}},
                                        {{"ntp_server", "pool"}, {"resolve", "1"}}};
    const fencekit_option none[] = {{"node", NULL}};

    OK(fencekit_cluster_from_text(named, &cluster, NULL));
    /* A firewall needs addresses, and looks them up when it is told to. */
    GIVES(FENCEKIT_RESULT_CONFIG, fencekit_cluster_generate_with(cluster, "nftables", NULL, 0, 5000, &made, NULL));
    OK(fencekit_cluster_generate_with(cluster, "nftables", for_b, 3, 5000, &made, NULL));
    CHECK(strstr(fencekit_generated_text(made), "127.0.0.1 . tcp . 80") != NULL);
    CHECK(strstr(fencekit_generated_text(made), "10.0.0.9") != NULL);
    CHECK(strstr(fencekit_generated_text(made), "10.0.0.2 . tcp") == NULL);
    OK(fencekit_generated_free(made));
    made = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        GIVES(FENCEKIT_RESULT_CONFIG,
              fencekit_cluster_generate_with(cluster, "nftables", wrong[i], 2, 5000, &made, &error));
        CHECK(made == NULL && strstr(fencekit_error_message(error), wrong[i][0].name) != NULL);
        OK(fencekit_error_free(error));
    }
    GIVES(FENCEKIT_RESULT_NULL_ARGUMENT,
          fencekit_cluster_generate_with(cluster, "nftables", none, 1, 5000, &made, NULL));
    GIVES(FENCEKIT_RESULT_NULL_ARGUMENT,
          fencekit_cluster_generate_with(cluster, "nftables", NULL, 1, 5000, &made, NULL));
    /* The program that prints the password has no more time than the call. */
    GIVES(FENCEKIT_RESULT_TIMEOUT, fencekit_cluster_generate_with(cluster, "tasmota", NULL, 0, 200, &made, &error));
    CHECK(made == NULL && strstr(fencekit_error_message(error), "password_script") != NULL);
    OK(fencekit_error_free(error));
    OK(fencekit_cluster_free(cluster));
}

static void no_time_and_nobody_there(void)
{
    fencekit_device *kasa = NULL;
    fencekit_statuses *none = NULL;
    fencekit_error *error = NULL;
    uint32_t power = 77;
    /* Nothing listens on the discard port of this address. */
    OK(fencekit_device_from_json("{\"method\": \"kasa\", \"transport\": \"xor\", \"ip\": \"127.0.0.1\", \"ipport\": 9}",
                                 &kasa, NULL));
    GIVES(FENCEKIT_RESULT_UNREACHABLE, fencekit_device_status(kasa, 5000, &power, &error));
    CHECK(fencekit_error_is_transient(error));
    CHECK(strncmp(fencekit_error_message(error), "kasa @ 127.0.0.1:9: ", 20) == 0);
    OK(fencekit_error_free(error));
    GIVES(FENCEKIT_RESULT_TIMEOUT, fencekit_device_off(kasa, 0, NULL));
    CHECK(power == 77);

    const fencekit_device *same[2];
    fencekit_status status;
    same[0] = same[1] = kasa;
    OK(fencekit_devices_status(same, 2, 5000, &none, NULL));
    CHECK(fencekit_statuses_count(none) == 2);
    OK(fencekit_statuses_get(none, 1, &status));
    CHECK(status.result == FENCEKIT_RESULT_UNREACHABLE && status.power == FENCEKIT_POWER_UNKNOWN);
    CHECK(status.detail != NULL && status.node == NULL && isnan(status.watts));
    CHECK(strstr(fencekit_statuses_json(none), "\"power\":\"unknown\"") != NULL);
    GIVES(FENCEKIT_RESULT_OUT_OF_RANGE, fencekit_statuses_get(none, 2, &status));
    OK(fencekit_statuses_free(none));
    OK(fencekit_devices_status(NULL, 0, 100, &none, NULL));
    CHECK(fencekit_statuses_count(none) == 0 && strcmp(fencekit_statuses_json(none), "[]") == 0);
    OK(fencekit_statuses_free(none));
    same[1] = NULL;
    none = NULL;
    GIVES(NULL_ARG, fencekit_devices_status(same, 2, 5000, &none, NULL));
    CHECK(none == NULL);
    OK(fencekit_device_free(kasa));
}

static void versions_and_words(void)
{
    CHECK(strcmp(fencekit_version(), FENCEKIT_VERSION) == 0);
    CHECK(fencekit_version_number() == FENCEKIT_VERSION_NUMBER);
    CHECK(FENCEKIT_VERSION_NUMBER
          == FENCEKIT_VERSION_MAJOR * 1000000 + FENCEKIT_VERSION_MINOR * 1000 + FENCEKIT_VERSION_PATCH);
    for (uint32_t number = 0; number < 1000; number++) {
        CHECK(fencekit_result_text(number) != NULL && *fencekit_result_text(number) != '\0');
    }
    CHECK(fencekit_result_text(UINT32_MAX) != NULL);
    GIVES(FENCEKIT_RESULT_INVALID_ARGUMENT, fencekit_log_set(NULL, NULL, 6));
    OK(fencekit_log_set(NULL, NULL, FENCEKIT_LOG_LEVEL_TRACE));
}

#ifdef FENCEKIT_PANIC_TEST
static void a_panic(void)
{
    fencekit_error *error = NULL;
    GIVES(FENCEKIT_RESULT_PANIC, fencekit_test_panic(NULL));
    GIVES(FENCEKIT_RESULT_PANIC, fencekit_test_panic(&error));
    CHECK(strstr(fencekit_error_message(error), "asked for by a test") != NULL);
    OK(fencekit_error_free(error));
    /* The library goes on. */
    fencekit_device *kasa = device();
    OK(fencekit_device_free(kasa));
}
#endif

int main(void)
{
    versions_and_words();
    handles_that_are_none();
    handles_of_other_types();
    freed_in_every_order();
    places_that_are_null();
    texts_that_are_wrong();
    a_wrong_text_names_its_option();
    what_is_generated();
    what_is_generated_with_options();
    no_time_and_nobody_there();
#ifdef FENCEKIT_PANIC_TEST
    a_panic();
#endif
    CHECK(fencekit_live_handles() == 0);
    printf("%d checks passed\n", checks);
    return 0;
}
